//! What a caller may do, told in general: for people, as `kubectl auth can-i --list` shows it.

/// What a caller may do, as far as that can be told without asking case by case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    resources: Vec<ResourceRule>,
    paths: Vec<PathRule>,
    incomplete: bool,
}

/// These verbs on these resources are allowed. `*` stands for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceRule {
    verbs: Vec<String>,
    groups: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
}

/// These verbs on these paths, which are not resources, are allowed. A `*` at the end of a path
/// stands for whatever follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRule {
    verbs: Vec<String>,
    paths: Vec<String>,
}

impl Rules {
    /// All that is allowed.
    #[must_use]
    pub fn new(
        resources: impl IntoIterator<Item = ResourceRule>,
        paths: impl IntoIterator<Item = PathRule>,
    ) -> Self {
        let (resources, paths) = (Vec::from_iter(resources), Vec::from_iter(paths));
        Self { resources, paths, incomplete: false }
    }

    /// Says that more may be allowed than is told.
    #[must_use]
    pub fn incomplete(mut self) -> Self {
        self.incomplete = true;
        self
    }

    /// Adds what another authorizer allows.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.resources.extend(more.resources);
        self.paths.extend(more.paths);
        self.incomplete |= more.incomplete;
        self
    }

    /// What is allowed on resources.
    #[must_use]
    pub fn resources(&self) -> &[ResourceRule] {
        &self.resources
    }

    /// What is allowed on paths.
    #[must_use]
    pub fn paths(&self) -> &[PathRule] {
        &self.paths
    }

    /// Whether more may be allowed than is told.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }
}

impl ResourceRule {
    /// Verbs, API groups and plural names; `pods/log` for a subresource.
    #[must_use]
    pub fn new<'a>(
        verbs: impl IntoIterator<Item = &'a str>,
        groups: impl IntoIterator<Item = &'a str>,
        resources: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let (verbs, groups, resources) = (words(verbs), words(groups), words(resources));
        Self { verbs, groups, resources, names: Vec::new() }
    }

    /// Only objects of these names.
    #[must_use]
    pub fn with_names<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.names = words(names);
        self
    }

    /// The verbs.
    #[must_use]
    pub fn verbs(&self) -> &[String] {
        &self.verbs
    }

    /// The API groups.
    #[must_use]
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// The plural names.
    #[must_use]
    pub fn resources(&self) -> &[String] {
        &self.resources
    }

    /// The names of the objects; none when it does not matter.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl PathRule {
    /// Lower-case HTTP methods and paths.
    #[must_use]
    pub fn new<'a>(
        verbs: impl IntoIterator<Item = &'a str>,
        paths: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self { verbs: words(verbs), paths: words(paths) }
    }

    /// The verbs.
    #[must_use]
    pub fn verbs(&self) -> &[String] {
        &self.verbs
    }

    /// The paths.
    #[must_use]
    pub fn paths(&self) -> &[String] {
        &self.paths
    }
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}
