//! kubectl with a home of its own, so that neither its cache nor anybody's settings matter.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    process::Process,
    text::{assert_same, normalise, unindent, words},
};

/// kubectl, with flags that every call gets.
#[derive(Clone)]
pub(crate) struct Kubectl {
    home: PathBuf,
    kubeconfig: PathBuf,
    flags: Vec<String>,
    editor: Option<String>,
}

impl Kubectl {
    /// Whether there is a kubectl; a note when there is none. With `MILO_TEST_REQUIRE=all` that is
    /// a failure.
    pub(super) fn is_there() -> bool {
        let is_there = Command::new("kubectl")
            .args(["version", "--client"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !is_there {
            let required = std::env::var("MILO_TEST_REQUIRE").is_ok_and(|value| value == "all");
            assert!(!required, "kubectl not found, and MILO_TEST_REQUIRE=all");
            println!("skipped: kubectl not found");
        }
        is_there
    }

    pub(super) fn new(home: PathBuf, kubeconfig: &Path) -> Self {
        fs::create_dir_all(&home).unwrap();
        Self { home, kubeconfig: kubeconfig.to_owned(), flags: Vec::new(), editor: None }
    }

    /// The same kubectl with one more flag in every call.
    pub(crate) fn with_flag(&self, flag: impl Into<String>) -> Self {
        let mut other = self.clone();
        other.flags.push(flag.into());
        other
    }

    /// The same kubectl, for the control plane of an organization.
    pub(crate) fn in_organization(&self, name: &str) -> Self {
        let server = self.run("config view -o jsonpath={.clusters[0].cluster.server}").ok();
        self.with_flag(format!(
            "--server={server}/apis/resourcemanager.miloapis.com/v1alpha1/organizations/{name}/control-plane"
        ))
    }

    /// The same kubectl, as somebody who has nothing but this token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        let config = self.run("config view --raw --flatten -o json").ok();
        let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
        config["users"][0]["user"] = serde_json::json!({});
        let mut other = self.with_flag(format!("--token={token}"));
        other.kubeconfig = self.home.join("without-credentials.kubeconfig");
        fs::write(&other.kubeconfig, config.to_string()).unwrap();
        other
    }

    /// The same kubectl with an editor: a command that is given a file.
    pub(crate) fn with_editor(&self, editor: &str) -> Self {
        Self { editor: Some(editor.to_owned()), ..self.clone() }
    }

    /// Writes a file that command lines may name.
    pub(crate) fn file(&self, name: &str, content: &str) {
        let path = self.home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, unindent(content)).unwrap();
    }

    /// Makes an object.
    #[track_caller]
    pub(crate) fn create(&self, manifest: &str) {
        self.file("new.yaml", manifest);
        self.run("create -f new.yaml").ok();
    }

    /// Runs kubectl to its end.
    pub(crate) fn run(&self, line: &str) -> Answer {
        self.start(line).finish()
    }

    /// Starts kubectl.
    pub(crate) fn start(&self, line: &str) -> Running {
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
        let mut command = Command::new("kubectl");
        command
            .args(&self.flags)
            .args(words(line))
            .current_dir(&self.home)
            .env_clear()
            .env("PATH", path)
            .env("HOME", &self.home)
            .env("TMPDIR", &self.home)
            .env("KUBECONFIG", &self.kubeconfig);
        if let Some(editor) = &self.editor {
            command.env("KUBE_EDITOR", editor);
        }
        let line = format!("kubectl {line}");
        Running { process: Process::start(&line, &mut command), line }
    }
}

/// A kubectl that has been started, and is ended when the test forgets it.
pub(crate) struct Running {
    line: String,
    process: Process,
}

impl Running {
    /// Waits for the next line that it prints.
    #[track_caller]
    pub(crate) fn prints(&self, expected: &str) {
        assert_same(&self.line, &self.process.line(), expected);
    }

    /// Waits until it watches. Needs `-v=6`, with which kubectl tells its requests.
    pub(crate) fn wait_until_watching(&self) {
        self.process.wait_for_complaint(|line| line.contains("watch=true"));
    }

    #[track_caller]
    pub(crate) fn is_waiting(&mut self) {
        assert!(self.process.is_running(), "{}: ended too early", self.line);
    }

    pub(crate) fn finish(self) -> Answer {
        let (status, stdout, stderr) = self.process.finish();
        Answer { line: self.line, code: status.code(), stdout, stderr }
    }
}

/// What kubectl printed, and how it ended.
pub(crate) struct Answer {
    line: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Answer {
    /// It succeeded without complaints; what it printed, as it is.
    #[track_caller]
    pub(crate) fn ok(&self) -> String {
        assert_same(&self.line, &self.stderr, "");
        self.ended_with(0);
        self.stdout.trim_end().to_owned()
    }

    /// It succeeded without complaints and printed this.
    #[track_caller]
    pub(crate) fn prints(&self, expected: &str) {
        assert_same(&self.line, &self.ok(), expected);
    }

    /// It succeeded and printed this, with these complaints.
    #[track_caller]
    pub(crate) fn prints_and_warns(&self, expected: &str, warning: &str) {
        assert_same(&self.line, &self.stdout, expected);
        assert_same(&self.line, &self.stderr, warning);
        self.ended_with(0);
    }

    /// It failed with this complaint and nothing else.
    #[track_caller]
    pub(crate) fn fails(&self, complaint: &str) {
        assert_same(&self.line, &self.stdout, "");
        assert_same(&self.line, &self.stderr, complaint);
        self.ended_with(1);
    }

    /// It ended with 1 and printed this: how `diff` tells that there is a difference.
    #[track_caller]
    pub(crate) fn differs(&self, expected: &str) {
        assert_same(&self.line, &self.stderr, "");
        assert_same(&self.line, &self.stdout, expected);
        self.ended_with(1);
    }

    /// How often standard error has this text.
    pub(crate) fn count_of_complaint(&self, text: &str) -> usize {
        self.stderr.matches(text).count()
    }

    /// It succeeded; what it printed, normalised, whatever it complained of.
    #[track_caller]
    pub(crate) fn printed(&self) -> String {
        self.ended_with(0);
        normalise(&self.stdout)
    }

    /// What it complained of, normalised, however it ended.
    pub(crate) fn complained(&self) -> String {
        normalise(&self.stderr)
    }

    #[track_caller]
    fn ended_with(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{}\n{}{}", self.line, self.stdout, self.stderr);
    }
}
