//! A process whose output is waited for, line by line, with a limit on every wait.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

/// How long anything may take before the test fails: far more than is ever needed.
const LIMIT: Duration = Duration::from_secs(30);

/// A process that ends with its owner.
pub(super) struct Process {
    what: String,
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Process {
    /// Starts a command whose standard input is empty.
    pub(super) fn start(what: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = lines(child.stderr.take().unwrap());
        Self { what: what.to_owned(), child, stdout, stderr }
    }

    /// The next line on standard output.
    pub(super) fn line(&self) -> String {
        self.stdout.recv_timeout(LIMIT).unwrap_or_else(|error| {
            let complaints: Vec<String> = self.stderr.try_iter().collect();
            panic!("{}: no further line: {error}\n{}", self.what, complaints.join("\n"))
        })
    }

    /// Waits for a line on standard error.
    pub(super) fn wait_for_complaint(&self, wanted: impl Fn(&str) -> bool) {
        loop {
            match self.stderr.recv_timeout(LIMIT) {
                Ok(line) if wanted(&line) => return,
                Ok(_) => {}
                Err(error) => panic!("{}: the line did not come: {error}", self.what),
            }
        }
    }

    /// Whether the process has not ended.
    pub(super) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Asks the process to end.
    pub(super) fn terminate(&self) {
        let ended = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(
            ended.is_ok_and(|status| status.success()),
            "{}: cannot be asked to end",
            self.what
        );
    }

    /// Waits until the process has ended.
    pub(super) fn wait_for_end(&mut self) {
        // Both outputs end with it.
        self.rest(&self.stdout);
        self.child.wait().unwrap();
    }

    /// Waits for the end; the rest of both outputs.
    pub(super) fn finish(mut self) -> (ExitStatus, String, String) {
        let stdout = self.rest(&self.stdout);
        let stderr = self.rest(&self.stderr);
        (self.child.wait().unwrap(), stdout, stderr)
    }

    fn rest(&self, lines: &Receiver<String>) -> String {
        let mut text = String::new();
        loop {
            match lines.recv_timeout(LIMIT) {
                Ok(line) => text.extend([&line, "\n"]),
                Err(RecvTimeoutError::Disconnected) => return text,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{}: still running after {LIMIT:?}; so far:\n{text}", self.what)
                }
            }
        }
    }

    /// What was said on standard error so far and has not been read.
    pub(super) fn complaints(&self) -> String {
        self.stderr.try_iter().map(|line| line + "\n").collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a pipe to its end, so that the process never waits for its reader.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
