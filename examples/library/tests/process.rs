//! The program itself: kubectl against it, and killing it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests say what they expect by unwrapping")]

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use tempfile::TempDir;

/// A program that is killed when the test forgets it.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|l| sender.send(l))
        });
        Self { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(30)).expect("a line")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Library {
    _program: Running,
    kubeconfig: PathBuf,
    home: PathBuf,
}

impl Library {
    fn start(directory: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_library"));
        command
            .args(["--secure-port", "0", "--data-dir"])
            .arg(directory.join("data"))
            .env("LIBRARY_DATABASE", directory.join("library.sqlite"));
        let program = Running::start(&mut command);
        let first = program.line();
        let kubeconfig = first.strip_prefix("export KUBECONFIG=").map(PathBuf::from);
        let kubeconfig = kubeconfig.unwrap_or_else(|| panic!("printed {first:?}"));
        Self { _program: program, kubeconfig, home: directory.to_owned() }
    }

    fn kubectl(&self, line: &str) -> Command {
        let mut command = Command::new("kubectl");
        command
            .args(line.split(' '))
            .current_dir(&self.home)
            .env("HOME", &self.home)
            .env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// What kubectl prints when it succeeds.
    fn run(&self, line: &str) -> String {
        let output = self.kubectl(line).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "kubectl {line}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn apply(&self, manifest: &str) -> String {
        let mut command = self.kubectl("apply -f -");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }
}

fn kubectl_is_installed() -> bool {
    let version = Command::new("kubectl").args(["version", "--client"]).output();
    if version.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let required = std::env::var("MILO_TEST_REQUIRE").is_ok_and(|value| value == "all");
    assert!(!required, "kubectl not found, and MILO_TEST_REQUIRE=all");
    println!("skipped: kubectl not found");
    false
}

fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

fn emma(pages: u32) -> String {
    format!(
        "apiVersion: library.example.com/v1\nkind: Book\nmetadata: {{name: emma}}\n\
         spec: {{title: Emma, author: austen, shelf: novels, pages: {pages}}}\n"
    )
}

#[test]
fn kubectl_works_with_books_and_shelves() {
    if !kubectl_is_installed() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let library = Library::start(directory.path());
    assert_eq!(library.apply(&emma(474)), "book.library.example.com/emma created\n");
    assert_eq!(library.apply(&emma(474)), "book.library.example.com/emma unchanged\n");
    let books = library.run("get books");
    let expected =
        [vec!["NAME", "AUTHOR", "SHELF", "LENT", "TO"], vec!["emma", "austen", "novels"]];
    assert_eq!(words(&books), expected);
    let shelves = library.run("get shelves -A");
    assert_eq!(words(&shelves)[1], ["default", "novels", "1", "474"]);
    let resources = library.run("api-resources --api-group=library.example.com -o wide");
    assert!(resources.contains("create,delete,deletecollection,get,list,patch,update,watch"));
    assert!(words(&resources)[2].ends_with(&["Shelf", "get,list"]), "{resources}");
    let refused = library.kubectl("delete shelf novels").output().unwrap();
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.contains("MethodNotAllowed"), "{error}");
}

#[test]
fn kubectl_follows_a_log() {
    if !kubectl_is_installed() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let library = Library::start(directory.path());
    library.apply(&emma(1));
    let path = "/apis/library.example.com/v1/namespaces/default/books/emma/log";
    let log = library.run(&format!("get --raw {path}"));
    assert!(log.ends_with(" 2 added by admin\n"), "{log}");
    let following = Running::start(&mut library.kubectl(&format!("get --raw {path}?follow=true")));
    assert_eq!(following.line() + "\n", log);
    library.apply(&emma(2));
    let line = following.line();
    assert!(line.ends_with(" 3 changed by admin"), "{line}");
    library.run("delete book emma");
    let line = following.line();
    assert!(line.ends_with(" 4 removed by admin"), "{line}");
}

#[test]
fn a_killed_library_keeps_every_book() {
    if !kubectl_is_installed() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let library = Library::start(directory.path());
    library.apply(&emma(474));
    let before = library.run("get book emma -o yaml --show-managed-fields");
    drop(library);
    let library = Library::start(directory.path());
    assert_eq!(library.run("get book emma -o yaml --show-managed-fields"), before);
    let path = "/apis/library.example.com/v1/books?watch=true&resourceVersion=1&timeoutSeconds=1";
    let events = library.run(&format!("get --raw {path}"));
    assert!(events.starts_with("{\"type\":\"ADDED\""), "{events}");
}
