//! A PostgreSQL on loopback.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use parking_lot::Mutex;
use tempfile::TempDir;

/// How long a server may take to start, at most, before that is an error.
const START: Duration = Duration::from_secs(60);
/// Lines of the server's log that are kept for error messages.
const LOG_LINES: usize = 50;
/// Where Debian puts the programs, which are not in `PATH` there.
const DEBIAN: &str = "/usr/lib/postgresql";
/// What PostgreSQL says when it takes connections.
const READY: &str = "database system is ready to accept connections";

/// A real PostgreSQL server on a random port of 127.0.0.1, in a temporary directory.
///
/// Everybody may connect as the superuser `postgres`, without a password. The server is killed and
/// its directory removed when this is dropped, and also when the process that made it is killed.
/// As PostgreSQL refuses to run as root, root runs it as the user `postgres`, or else `nobody`.
///
/// ```no_run
/// use milo_core::testing::PostgresServer;
///
/// # fn main() -> std::io::Result<()> {
/// let Some(server) = PostgresServer::builder().fast().start()? else { return Ok(()) };
/// let url = server.create_database()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct PostgresServer {
    programs: PathBuf,
    directory: TempDir,
    user: Option<User>,
    port: u16,
    settings: Vec<(String, String)>,
    running: Option<Child>,
    databases: AtomicU64,
    log: Arc<Mutex<Vec<String>>>,
    /// Ends the server and removes its directory when the other end of the pipe is gone.
    guard: Child,
}

/// Options for [`PostgresServer`]. See [`PostgresServer::builder`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct PostgresServerBuilder {
    settings: Vec<(String, String)>,
    files: Vec<(String, String)>,
}

impl PostgresServerBuilder {
    /// Does not wait for the disk: for tests that stop the server in no other way than dropping it.
    pub fn fast(self) -> Self {
        ["fsync", "synchronous_commit", "full_page_writes"]
            .into_iter()
            .fold(self, |builder, name| builder.setting(name, "off"))
    }

    /// A line of `postgresql.conf`.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A file in the data directory that only the server may read: `server.key`, `pg_hba.conf`.
    /// The latter should begin with `local all all trust`, for [`PostgresServer::sql`].
    pub fn file(mut self, name: &str, contents: &str) -> Self {
        self.files.push((name.to_owned(), contents.to_owned()));
        self
    }

    /// Starts the server and waits until it takes connections. None when PostgreSQL is not
    /// installed, after [telling](super::missing) so.
    ///
    /// # Errors
    /// When it does not start; with what it said.
    ///
    /// # Panics
    /// As [`missing`](super::missing).
    pub fn start(self) -> io::Result<Option<PostgresServer>> {
        let Some(programs) = programs() else {
            super::missing("postgres");
            return Ok(None);
        };
        PostgresServer::start_new(self, programs).map(Some)
    }
}

impl PostgresServer {
    /// Starts a server with the default options. See [`PostgresServerBuilder::start`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn start() -> io::Result<Option<Self>> {
        Self::builder().start()
    }

    /// Starts a server with other options than the default ones.
    pub fn builder() -> PostgresServerBuilder {
        PostgresServerBuilder::default()
    }

    fn start_new(options: PostgresServerBuilder, programs: PathBuf) -> io::Result<Self> {
        let user = User::needed()?;
        let directory = tempfile::Builder::new().prefix("milo-postgres-").tempdir()?;
        if let Some(user) = &user {
            user.own(directory.path())?;
        }
        let guard = guard(directory.path())?;
        let mut server = Self {
            programs,
            directory,
            user,
            port: 0,
            settings: options.settings,
            running: None,
            databases: AtomicU64::new(0),
            log: Arc::default(),
            guard,
        };
        server.initialize(&options.files)?;
        // A port that was free a moment ago may be taken by the time the server wants it.
        for _ in 0..10 {
            server.port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            match server.launch() {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                other => return other.map(|()| server),
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    fn initialize(&self, files: &[(String, String)]) -> io::Result<()> {
        let mut initdb = self.command("initdb");
        initdb.arg("-D").arg(self.data());
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        output(&mut initdb)?;
        for (name, contents) in files {
            let file = self.data().join(name);
            fs::write(&file, contents)?;
            private(&file)?;
            if let Some(user) = &self.user {
                user.own(&file)?;
            }
        }
        Ok(())
    }

    fn launch(&mut self) -> io::Result<()> {
        let mut postgres = self.command("postgres");
        postgres.arg("-D").arg(self.data()).arg("-k").arg(self.directory.path());
        postgres.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        for (name, value) in &self.settings {
            postgres.arg("-c").arg(format!("{name}={value}"));
        }
        let mut running = postgres.stderr(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        self.log.lock().clear();
        let (ready, wait) = mpsc::channel();
        if let Some(stderr) = running.stderr.take() {
            let log = Arc::clone(&self.log);
            std::thread::spawn(move || read_log(BufReader::new(stderr), &log, &ready));
        }
        self.running = Some(running);
        match wait.recv_timeout(START) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failed_to_start()),
        }
    }

    fn failed_to_start(&mut self) -> io::Error {
        self.kill_now();
        let log = self.log.lock().join("\n");
        let taken = log.contains("Address already in use");
        let kind = if taken { io::ErrorKind::AddrInUse } else { io::ErrorKind::Other };
        io::Error::new(kind, format!("postgres does not start:\n{log}"))
    }

    /// The port of 127.0.0.1 that it listens on; the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes a database that nobody else has, and returns its URL.
    ///
    /// # Errors
    /// When the server does not.
    pub fn create_database(&self) -> io::Result<String> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
    }

    /// Runs SQL in a database with psql, over the server's socket, and returns what it prints: rows as lines, columns
    /// separated by `|`.
    ///
    /// # Errors
    /// When the server refuses it; with what it said.
    pub fn sql(&self, database: &str, sql: &str) -> io::Result<String> {
        let mut psql = self.command("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        let (socket, port) = (self.directory.path().display(), self.port);
        psql.arg(format!("postgres://postgres@/{database}?host={socket}&port={port}"));
        output(&mut psql)
    }

    /// The last lines of the server's log.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().join("\n")
    }

    /// Stops the server as an operator does, without waiting for clients, and waits for its end.
    ///
    /// # Errors
    /// When it cannot be told to.
    pub fn stop(&mut self) -> io::Result<()> {
        let Some(running) = &mut self.running else { return Ok(()) };
        signal("INT", running.id())?;
        running.wait()?;
        self.running = None;
        Ok(())
    }

    /// Kills the server with SIGKILL, all its processes, as a crash of the machine would.
    pub fn kill(&mut self) {
        self.kill_now();
    }

    fn kill_now(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        let children = children(running.id());
        let _gone = running.kill();
        let _reaped = running.wait();
        for child in children {
            let _gone = signal("KILL", child);
        }
    }

    /// Starts the server again after [`stop`](Self::stop) or [`kill`](Self::kill), and waits until
    /// it takes connections.
    ///
    /// # Errors
    /// When it does not start; with what it said.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill_now();
        // Processes of a killed server may hold its shared memory for a moment longer.
        let mut tries = 0;
        loop {
            match self.launch() {
                Err(error) if tries < 100 && error.to_string().contains("shared memory") => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(50));
                }
                other => return other,
            }
        }
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.stdin(Stdio::null()).current_dir(self.directory.path());
        command.env("LC_ALL", "C").env("HOME", self.directory.path()).env_remove("PGOPTIONS");
        if let Some(user) = &self.user {
            user.run(&mut command);
        }
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill_now();
        drop(self.guard.stdin.take());
        let _reaped = self.guard.wait();
    }
}

/// Who runs the server, if not the one who runs this.
#[derive(Clone, Copy, Debug)]
struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// Somebody, when this runs as root.
    fn needed() -> io::Result<Option<Self>> {
        use std::os::unix::fs::MetadataExt;
        // Who owns what this process makes is who it runs as.
        if tempfile::tempfile()?.metadata()?.uid() != 0 {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd")?;
        let named = |name: &str| users.lines().find_map(|line| Self::parse(line, name));
        named("postgres").or_else(|| named("nobody")).map(Some).ok_or_else(|| {
            io::Error::other("PostgreSQL does not run as root, and there is no other user")
        })
    }

    fn parse(line: &str, name: &str) -> Option<Self> {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self { uid, gid })
    }

    fn own(self, path: &Path) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
    }

    fn run(self, command: &mut Command) {
        use std::os::unix::process::CommandExt;
        command.uid(self.uid).gid(self.gid);
    }
}

/// The folder of the server's programs: where the `initdb` in `PATH` really is, or else the newest
/// one of Debian's.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).find_map(|folder| {
        let found = fs::canonicalize(folder.join("initdb")).ok()?;
        let folder = found.parent()?;
        ["postgres", "psql"].iter().all(|name| folder.join(name).is_file()).then(|| folder.into())
    });
    in_path.or_else(|| {
        let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
        let mut found: Vec<PathBuf> =
            fs::read_dir(DEBIAN).ok()?.flatten().map(|entry| entry.path()).collect();
        found.retain(|path| path.join("bin/initdb").is_file());
        found.sort_by_key(version);
        Some(found.pop()?.join("bin"))
    })
}

/// Waits for the end of its input, which comes when this process ends, in whatever way.
fn guard(directory: &Path) -> io::Result<Child> {
    let script = "read -r _; test -f data/postmaster.pid && \
                  kill -KILL \"$(head -n 1 data/postmaster.pid)\" 2>/dev/null; \
                  cd / && for _ in 1 2 3 4 5; do rm -rf \"$0\" && break; sleep 0.2; done";
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(directory).current_dir(directory);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

fn read_log(stderr: impl BufRead, log: &Mutex<Vec<String>>, ready: &mpsc::Sender<()>) {
    for line in stderr.lines().map_while(Result::ok) {
        if line.contains(READY) {
            let _gone = ready.send(());
        }
        let mut log = log.lock();
        if log.len() == LOG_LINES {
            log.remove(0);
        }
        log.push(line);
    }
}

fn children(parent: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let number = |entry: &fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let is_child = |id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // The name, in parentheses, may hold anything.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        after.split_whitespace().nth(1).and_then(|id| id.parse().ok()) == Some(parent)
    };
    processes.flatten().filter_map(|entry| number(&entry)).filter(is_child).collect()
}

fn signal(name: &str, process: u32) -> io::Result<()> {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{name}")).arg(process.to_string());
    kill.stdout(Stdio::null()).stderr(Stdio::null()).status().map(drop)
}

fn private(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600))
}

fn output(command: &mut Command) -> io::Result<String> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stdout));
    Err(io::Error::other(format!("{command:?}: {text}")))
}
