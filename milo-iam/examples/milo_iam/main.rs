//! Access questions about a directory of YAML objects, with no server in sight:
//!
//! ```sh
//! cargo run -p milo-iam --example milo_iam -- -d milo-iam/examples/shop \
//!     can-i bob g.io/things.get --project web --name a
//! ... who-can g.io/things.get --project web --name a
//! ... what-can bob g.io/things.get
//! ... explain bob g.io/things.delete --project web --name a
//! ... what-if --put binding.yaml --remove PolicyBinding:organization-acme/developers-view
//! ```
//!
//! Objects of a project lie in a subdirectory `project-UID`. `can-i` exits with 1 when the answer is
//! no.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use milo_core::object::Object;
use milo_iam::{
    Permission, Principal, Question, Snapshot, Within,
    world::{Change, Fact, Key, Plane, World},
};
use serde_json::Value;

/// Access questions about a directory of YAML objects.
#[derive(Parser)]
struct Cli {
    /// Where the objects are.
    #[arg(short, long, default_value = ".")]
    directory: PathBuf,
    /// Answers as JSON.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Whether somebody may do something somewhere.
    CanI {
        /// A user's name, or a service account's UID.
        who: String,
        /// SERVICE/PLURAL.VERB
        permission: Permission,
        #[command(flatten)]
        place: Place,
    },
    /// Who may do something somewhere.
    WhoCan {
        /// SERVICE/PLURAL.VERB
        permission: Permission,
        #[command(flatten)]
        place: Place,
    },
    /// To what somebody may do something.
    WhatCan {
        /// A user's name, or a service account's UID.
        who: String,
        /// SERVICE/PLURAL.VERB
        permission: Permission,
    },
    /// Why somebody may, or what it would take.
    Explain {
        /// A user's name, or a service account's UID.
        who: String,
        /// SERVICE/PLURAL.VERB
        permission: Permission,
        #[command(flatten)]
        place: Place,
    },
    /// Whose access would change, and how.
    WhatIf {
        /// Files of objects that would be created or changed.
        #[arg(long)]
        put: Vec<PathBuf>,
        /// Objects that would be deleted, each as KIND:NAMESPACE/NAME or KIND:NAME.
        #[arg(long)]
        remove: Vec<String>,
    },
}

#[derive(Args)]
struct Place {
    /// In the control plane of an organization.
    #[arg(long, conflicts_with_all = ["project", "user"])]
    organization: Option<String>,
    /// In the control plane of a project.
    #[arg(long, conflicts_with = "user")]
    project: Option<String>,
    /// In the control plane of a user.
    #[arg(long)]
    user: Option<String>,
    /// In a namespace.
    #[arg(long, default_value = "")]
    namespace: String,
    /// One object.
    #[arg(long, default_value = "")]
    name: String,
}

impl Place {
    fn question(&self, who: &str, permission: &Permission) -> Question {
        let within = match (&self.organization, &self.project, &self.user) {
            (Some(name), _, _) => Within::organization(name),
            (_, Some(name), _) => Within::project(name),
            (_, _, Some(name)) => Within::user(name),
            _ => Within::Platform,
        };
        Question::new(Principal::new(who), permission.clone())
            .within(within)
            .namespace(&self.namespace)
            .name(&self.name)
    }
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let mut world = World::new();
    load_directory(&cli.directory, &Plane::Platform, &mut world)?;
    answer(&cli, &Snapshot::of(world))
}

fn answer(cli: &Cli, snapshot: &Snapshot) -> Result<ExitCode> {
    match &cli.command {
        Command::CanI { who, permission, place } => {
            let allowed = snapshot.check(&place.question(who, permission));
            say(cli, &allowed, if allowed { "yes" } else { "no" })?;
            return Ok(if allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::WhoCan { permission, place } => {
            let list = snapshot.list_subjects(&place.question("", permission));
            let who: Vec<_> = list.iter_after(None).collect();
            let by: Vec<String> = list.subjects().iter().map(|s| format!("by {s}")).collect();
            let lines = who.iter().map(ToString::to_string).chain(by).collect::<Vec<_>>();
            say(cli, &(who, list.subjects()), &lines.join("\n"))?;
        }
        Command::WhatCan { who, permission } => {
            let list = snapshot.list_objects(&Principal::new(who), permission);
            let list = list.with_context(|| format!("{permission} is not registered"))?;
            let objects: Vec<Key> = list.iter_after(None).collect();
            let extents = list.extents().iter().map(|extent| format!("everything in {extent}"));
            let lines = extents.chain(objects.iter().map(ToString::to_string)).collect::<Vec<_>>();
            say(cli, &(list.extents(), &objects), &lines.join("\n"))?;
        }
        Command::Explain { who, permission, place } => {
            let explanation = snapshot.explain(&place.question(who, permission));
            say(cli, &explanation, &explanation.to_string())?;
        }
        Command::WhatIf { put, remove } => {
            let mut changes = Vec::new();
            for file in put {
                let facts = load_file(file, &Plane::Platform)?;
                changes.extend(facts.into_iter().map(Change::put));
            }
            for text in remove {
                changes.push(Change::Remove(find(snapshot.world(), text)?));
            }
            let difference = snapshot.what_if(changes);
            say(cli, &difference, &difference.to_string())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn say<T: serde::Serialize>(cli: &Cli, value: &T, text: &str) -> Result<()> {
    if cli.json {
        println!("{}", serde_json::to_string_pretty(value)?);
    } else {
        println!("{text}");
    }
    Ok(())
}

fn find(world: &World, text: &str) -> Result<Key> {
    let (kind, path) = text.split_once(':').context("write KIND:NAMESPACE/NAME or KIND:NAME")?;
    let (namespace, name) = path.split_once('/').unwrap_or(("", path));
    let found = world
        .facts()
        .map(|fact| fact.key().clone())
        .find(|key| (&*key.kind.kind, &*key.namespace, &*key.name) == (kind, namespace, name));
    found.with_context(|| format!("there is no {text}"))
}

fn load_directory(directory: &Path, plane: &Plane, world: &mut World) -> Result<()> {
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("cannot read the directory {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            let Some(uid) = name.strip_prefix("project-") else {
                bail!("{}: a directory must be named project-UID", path.display());
            };
            load_directory(&path, &Plane::Project(uid.into()), world)?;
        } else if name.ends_with(".yaml") || name.ends_with(".yml") {
            for fact in load_file(&path, plane)? {
                world.apply(Change::put(fact));
            }
        }
    }
    Ok(())
}

fn load_file(path: &Path, plane: &Plane) -> Result<Vec<Fact>> {
    let read = || -> Result<Vec<Fact>> {
        let objects: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(path)?)?;
        let fact = |value| Ok(Fact::from_object(plane, &Object::from_value(value)?)?);
        objects.into_iter().map(fact).collect()
    };
    read().with_context(|| format!("cannot load {}", path.display()))
}
