//! The paths of a kind, with the literal templates that kubectl looks for.

use http::Method;
use kube_core::gvk::GroupVersionKind;
use milo_core::request::Verb;
use serde_json::{Map, Value};

use super::{
    names::{self, META, capitalized},
    operations::{Operation, answers, any_answer, body, list_answers, optional_body, patch_body},
    parameters, plain,
};
use crate::discovery::{Connection, GroupVersion, ServedResource, Subresource};

/// All paths of a group version.
pub(super) fn of_version(version: &GroupVersion<'_>, patch_types: &[String]) -> Map<String, Value> {
    let mut paths = Map::new();
    paths.insert(format!("{}/", version.path()), discovery(version));
    for resource in version.resources() {
        let kind = KindPaths { root: version.path(), resource, patch_types };
        paths.extend(kind.render());
    }
    paths
}

/// The path of the version itself.
fn discovery(version: &GroupVersion<'_>) -> Value {
    let (group, version) = (version.group(), version.version());
    let id = names::operation("get", group, version, "APIResources");
    let tag = names::tag(group, version);
    plain::get(&id, &tag, "get available resources", &format!("{META}.APIResourceList"))
}

struct KindPaths<'a> {
    root: String,
    resource: &'a ServedResource,
    patch_types: &'a [String],
}

impl KindPaths<'_> {
    fn render(&self) -> Map<String, Value> {
        let definition = self.resource.definition();
        let plural = definition.plural();
        let namespaced = definition.is_namespaced();
        let place = if namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{}{place}/{plural}", self.root);
        let item = format!("{collection}/{{name}}");

        let mut paths = Map::new();
        let mut add = |path: String, in_path: Vec<Value>, gvk, operations: Vec<Operation>| {
            if !operations.is_empty() {
                paths.insert(path, self.path(in_path, gvk, operations));
            }
        };
        let gvk = self.resource.gvk();
        let of_path = |with_name: bool| {
            let name = with_name.then(|| parameters::name(definition.kind()));
            let namespace = namespaced.then(parameters::namespace);
            name.into_iter().chain(namespace).chain([parameters::pretty()]).collect()
        };
        if namespaced && self.offers(&Verb::List) {
            let everywhere = format!("{}/{plural}", self.root);
            let list = self.list(format!("{}ForAllNamespaces", definition.kind()));
            add(everywhere, vec![parameters::pretty()], &gvk, vec![list]);
        }
        for subresource in self.resource.subresources() {
            let path = format!("{item}/{}", subresource.name());
            let kind = subresource.gvk().unwrap_or(&gvk);
            if let Some(connection) = subresource.connection() {
                let object = self.object_of(subresource);
                add(path.clone(), of_path(true), kind, self.connect(connection, &object));
                if connection.below {
                    let mut parameters: Vec<Value> = of_path(true);
                    parameters.push(parameters::below());
                    let object = format!("{object}WithPath");
                    let operations = self.connect(connection, &object);
                    add(format!("{path}/{{path}}"), parameters, kind, operations);
                }
                continue;
            }
            add(path, of_path(true), kind, self.subresource_operations(subresource));
        }
        add(collection, of_path(false), &gvk, self.collection_operations());
        add(item, of_path(true), &gvk, self.item_operations());
        paths
    }

    fn path(
        &self,
        in_path: Vec<Value>,
        gvk: &GroupVersionKind,
        operations: Vec<Operation>,
    ) -> Value {
        let definition = self.resource.definition();
        let home = (definition.group(), definition.version());
        let mut path = Map::from_iter([("parameters".to_owned(), Value::Array(in_path))]);
        for operation in operations {
            path.insert(operation.method.into(), operation.render(home, gvk));
        }
        Value::Object(path)
    }

    fn collection_operations(&self) -> Vec<Operation> {
        let operations = [
            (Verb::List, self.list(self.object())),
            (Verb::Create, self.create(self.object(), "", &self.schema())),
            (Verb::DeleteCollection, self.delete_collection()),
        ];
        self.offered(operations)
    }

    fn item_operations(&self) -> Vec<Operation> {
        let (object, schema) = (self.object(), self.schema());
        let operations = [
            (Verb::Get, self.read(object.clone(), "", &schema)),
            (Verb::Update, self.replace(object.clone(), "", &schema)),
            (Verb::Patch, self.patch(object.clone(), "", &schema)),
            (Verb::Delete, self.delete(object)),
        ];
        self.offered(operations)
    }

    fn subresource_operations(&self, subresource: &Subresource) -> Vec<Operation> {
        let of = format!("{} of ", subresource.name());
        let object = self.object_of(subresource);
        let schema = subresource.schema_name().map_or_else(|| self.schema(), str::to_owned);
        let operations = [
            (Verb::Get, self.read(object.clone(), &of, &schema)),
            (Verb::Update, self.replace(object.clone(), &of, &schema)),
            (Verb::Patch, self.patch(object.clone(), &of, &schema)),
            (Verb::Create, self.create(object, &of, &schema)),
        ];
        let offered = |(verb, operation)| subresource.verbs().contains(&verb).then_some(operation);
        operations.into_iter().filter_map(offered).collect()
    }

    fn connect(&self, connection: &Connection, object: &str) -> Vec<Operation> {
        let operation = |method: &Method| {
            let method = method_name(method)?;
            let of_query = connection.parameters.iter();
            Some(Operation {
                method,
                verb: "connect",
                action: "connect",
                object: format!("{}{object}", capitalized(method)),
                description: format!("connect {} requests to {object}", method.to_uppercase()),
                parameters: of_query.map(parameters::of_connection).collect(),
                body: None,
                responses: any_answer(),
            })
        };
        connection.methods.iter().filter_map(operation).collect()
    }

    fn offered<const N: usize>(&self, operations: [(Verb, Operation); N]) -> Vec<Operation> {
        let offered = |(verb, operation)| self.offers(&verb).then_some(operation);
        operations.into_iter().filter_map(offered).collect()
    }

    fn offers(&self, verb: &Verb) -> bool {
        self.resource.verbs().contains(verb)
    }

    fn list(&self, object: String) -> Operation {
        let definition = self.resource.definition();
        let list = names::schema(definition.group(), definition.version(), definition.list_kind());
        let mut parameters = parameters::of_selections();
        let can_be_watched = self.offers(&Verb::Watch);
        if can_be_watched {
            parameters.extend(parameters::of_watches());
        }
        Operation {
            method: "get",
            verb: "list",
            action: "list",
            object,
            description: match can_be_watched {
                true => format!("list or watch objects of kind {}", definition.kind()),
                false => format!("list objects of kind {}", definition.kind()),
            },
            parameters,
            body: None,
            responses: list_answers(&list, can_be_watched),
        }
    }

    fn create(&self, object: String, of: &str, schema: &str) -> Operation {
        Operation {
            method: "post",
            verb: "create",
            action: "post",
            object,
            description: format!("create {of}a {}", self.kind()),
            parameters: parameters::of_writes(),
            body: Some(body(schema)),
            responses: answers(&["200", "201", "202"], schema),
        }
    }

    fn delete_collection(&self) -> Operation {
        let mut parameters = parameters::of_deletes();
        parameters.extend(parameters::of_selections());
        Operation {
            verb: "delete",
            action: "deletecollection",
            object: format!("Collection{}", self.object()),
            description: format!("delete collection of {}", self.kind()),
            parameters,
            responses: answers(&["200"], &format!("{META}.Status")),
            ..self.delete(String::new())
        }
    }

    fn read(&self, object: String, of: &str, schema: &str) -> Operation {
        Operation {
            method: "get",
            verb: "read",
            action: "get",
            object,
            description: format!("read {of}the specified {}", self.kind()),
            parameters: Vec::new(),
            body: None,
            responses: answers(&["200"], schema),
        }
    }

    fn replace(&self, object: String, of: &str, schema: &str) -> Operation {
        Operation {
            method: "put",
            verb: "replace",
            action: "put",
            object,
            description: format!("replace {of}the specified {}", self.kind()),
            parameters: parameters::of_writes(),
            body: Some(body(schema)),
            responses: answers(&["200", "201"], schema),
        }
    }

    fn patch(&self, object: String, of: &str, schema: &str) -> Operation {
        let mut parameters = parameters::of_writes();
        if self.patch_types.iter().any(|found| found.starts_with("application/apply-patch+")) {
            parameters.push(parameters::force());
        }
        Operation {
            method: "patch",
            verb: "patch",
            action: "patch",
            object,
            description: format!("partially update {of}the specified {}", self.kind()),
            parameters,
            body: Some(patch_body(self.patch_types)),
            responses: answers(&["200", "201"], schema),
        }
    }

    fn delete(&self, object: String) -> Operation {
        Operation {
            method: "delete",
            verb: "delete",
            action: "delete",
            object,
            description: format!("delete a {}", self.kind()),
            parameters: parameters::of_deletes(),
            body: Some(optional_body(&format!("{META}.DeleteOptions"))),
            responses: answers(&["200", "202"], &format!("{META}.Status")),
        }
    }

    fn kind(&self) -> &str {
        self.resource.definition().kind()
    }

    /// The kind as operation identifiers name it.
    fn object(&self) -> String {
        let scope = if self.resource.definition().is_namespaced() { "Namespaced" } else { "" };
        format!("{scope}{}", self.kind())
    }

    /// A subresource as operation identifiers name it.
    fn object_of(&self, subresource: &Subresource) -> String {
        let name = names::camel_case(subresource.name());
        format!("{}{}", self.object(), capitalized(&name))
    }

    fn schema(&self) -> String {
        let definition = self.resource.definition();
        names::schema(definition.group(), definition.version(), definition.kind())
    }
}

/// A method as paths name it; none for those that OpenAPI does not know.
fn method_name(method: &Method) -> Option<&'static str> {
    match *method {
        Method::DELETE => Some("delete"),
        Method::GET => Some("get"),
        Method::HEAD => Some("head"),
        Method::OPTIONS => Some("options"),
        Method::PATCH => Some("patch"),
        Method::POST => Some("post"),
        Method::PUT => Some("put"),
        _ => None,
    }
}
