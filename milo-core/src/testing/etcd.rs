//! An etcd on loopback.

use std::{
    fmt,
    fs::File,
    io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a member may take to be ready.
const START: Duration = Duration::from_secs(60);
/// How often ports are looked for: between finding and using them, somebody else may.
const PORTS: usize = 5;

/// A cluster of etcd on loopback, with a directory of its own. Dropping it kills it.
///
/// Needs the programs `etcd` and `etcdctl`.
pub struct EtcdServer {
    members: Vec<Member>,
    tls: bool,
    directory: TempDir,
}

/// Options for an [`EtcdServer`]. See [`EtcdServer::builder`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct EtcdServerBuilder {
    members: usize,
    tls: bool,
    arguments: Vec<String>,
}

struct Member {
    arguments: Vec<String>,
    client_port: u16,
    log: PathBuf,
    process: Option<Child>,
}

impl EtcdServerBuilder {
    /// How many members the cluster has; one when not said.
    pub fn members(mut self, members: usize) -> Self {
        self.members = members;
        self
    }

    /// Lets in only clients with a certificate of the cluster's authority: see
    /// [`EtcdServer::url`].
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Adds a command line argument for every member, such as `--max-request-bytes=4194304`.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Starts the cluster and waits until it can be used. None, with a line on standard output
    /// ([`missing`](super::missing)), when etcd is not installed.
    ///
    /// # Errors
    /// When a member does not start. The error has the end of its log.
    pub fn start(self) -> io::Result<Option<EtcdServer>> {
        for program in ["etcd", "etcdctl"] {
            if !installed(program) {
                super::missing(program);
                return Ok(None);
            }
        }
        for _ in 1..PORTS {
            match self.start_once() {
                Err(error) if error.to_string().contains("address already in use") => {}
                done => return done.map(Some),
            }
        }
        self.start_once().map(Some)
    }

    fn start_once(&self) -> io::Result<EtcdServer> {
        let directory = tempfile::Builder::new().prefix("milo-etcd-").tempdir()?;
        if self.tls {
            make_certificates(directory.path())?;
        }
        let ports = free_ports(self.members * 2)?;
        let (peers, clients) = ports.split_at(self.members);
        let cluster: Vec<_> = peers
            .iter()
            .enumerate()
            .map(|(number, port)| format!("m{number}=http://127.0.0.1:{port}"))
            .collect();
        let member = |number: usize| {
            let path = directory.path().join(format!("m{number}"));
            Member {
                arguments: self.arguments(number, peers[number], clients[number], &cluster, &path),
                client_port: clients[number],
                log: path.with_extension("log"),
                process: None,
            }
        };
        let members = (0..self.members).map(member).collect();
        let mut server = EtcdServer { members, tls: self.tls, directory };
        for member in &mut server.members {
            member.spawn()?;
        }
        for number in 0..self.members {
            server.wait(number)?;
        }
        Ok(server)
    }

    fn arguments(
        &self,
        number: usize,
        peer: u16,
        client: u16,
        cluster: &[String],
        data: &Path,
    ) -> Vec<String> {
        let scheme = if self.tls { "https" } else { "http" };
        let (peer, client) =
            (format!("http://127.0.0.1:{peer}"), format!("{scheme}://127.0.0.1:{client}"));
        let mut arguments = vec![
            format!("--name=m{number}"),
            format!("--data-dir={}", data.display()),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--initial-cluster={}", cluster.join(",")),
            "--log-outputs=stderr".to_owned(),
            "--logger=zap".to_owned(),
        ];
        if self.tls {
            let file = |name: &str| data.with_file_name(name).display().to_string();
            arguments.extend([
                "--client-cert-auth".to_owned(),
                format!("--trusted-ca-file={}", file("ca.pem")),
                format!("--cert-file={}", file("server.pem")),
                format!("--key-file={}", file("server-key.pem")),
            ]);
        }
        arguments.extend(self.arguments.iter().cloned());
        arguments
    }
}

impl EtcdServer {
    /// One member without TLS.
    ///
    /// # Errors
    /// See [`EtcdServerBuilder::start`].
    pub fn start() -> io::Result<Option<Self>> {
        Self::builder().start()
    }

    /// Options.
    pub fn builder() -> EtcdServerBuilder {
        EtcdServerBuilder { members: 1, ..EtcdServerBuilder::default() }
    }

    /// The address for [`Etcd::connect`](crate::storage::Etcd::connect), with a prefix without
    /// slashes and, where the cluster wants one, a client certificate.
    #[must_use]
    pub fn url(&self, prefix: &str) -> String {
        let hosts: Vec<_> = self.members.iter().map(Member::host).collect();
        if !self.tls {
            return format!("etcd://{}/{prefix}", hosts.join(","));
        }
        let file = |name: &str| self.file(name).display().to_string();
        format!(
            "etcds://{}/{prefix}?cacert={}&cert={}&key={}",
            hosts.join(","),
            file("ca.pem"),
            file("client.pem"),
            file("client-key.pem")
        )
    }

    /// The host and port of a member, counted from zero.
    #[must_use]
    pub fn host(&self, member: usize) -> String {
        self.members[member].host()
    }

    /// A file of the cluster's directory. With TLS there are `ca.pem`, `client.pem` and
    /// `client-key.pem`.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Kills a member with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self, member: usize) -> io::Result<()> {
        self.members[member].kill()
    }

    /// Ends a member with SIGTERM and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn stop(&mut self, member: usize) -> io::Result<()> {
        self.members[member].signal("TERM")?;
        self.members[member].join()
    }

    /// Stops a member's process without ending it (SIGSTOP), or lets it go on (SIGCONT).
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn freeze(&mut self, member: usize, frozen: bool) -> io::Result<()> {
        self.members[member].signal(if frozen { "STOP" } else { "CONT" })
    }

    /// Starts a member again, on its ports and its data, and waits until it can be used.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self, member: usize) -> io::Result<()> {
        self.restart_all(&[member])
    }

    /// Starts members again, which may need one another to be of use.
    ///
    /// # Errors
    /// When one does not start.
    pub fn restart_all(&mut self, members: &[usize]) -> io::Result<()> {
        for member in members {
            self.members[*member].spawn()?;
        }
        members.iter().try_for_each(|member| self.wait(*member))
    }

    /// The member that leads the cluster.
    ///
    /// # Errors
    /// When there is none, or it cannot be found out.
    pub fn leader(&self) -> io::Result<usize> {
        for member in 0..self.members.len() {
            let status = self.control(member, &["endpoint", "status"]);
            // Endpoint, id, version, size, leader or not, and so on.
            if status.is_ok_and(|text| text.split(", ").nth(4) == Some("true")) {
                return Ok(member);
            }
        }
        Err(io::Error::other("no member leads"))
    }

    /// Runs `etcdctl` with these arguments against the whole cluster, and returns what it prints.
    ///
    /// # Errors
    /// When it fails; the error is what it says then.
    pub fn etcdctl(&self, arguments: &[&str]) -> io::Result<String> {
        let hosts: Vec<_> = self.members.iter().map(Member::host).collect();
        self.run_etcdctl(&hosts.join(","), arguments)
    }

    /// Runs `etcdctl` against one member.
    fn control(&self, member: usize, arguments: &[&str]) -> io::Result<String> {
        self.run_etcdctl(&self.members[member].host(), arguments)
    }

    fn run_etcdctl(&self, hosts: &str, arguments: &[&str]) -> io::Result<String> {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").arg(format!("--endpoints={hosts}")).args(arguments);
        if self.tls {
            command
                .arg("--cacert")
                .arg(self.file("ca.pem"))
                .arg("--cert")
                .arg(self.file("client.pem"))
                .arg("--key")
                .arg(self.file("client-key.pem"));
        }
        let Output { status, stdout, stderr } = command.output()?;
        if status.success() {
            Ok(String::from_utf8_lossy(&stdout).into_owned())
        } else {
            Err(io::Error::other(String::from_utf8_lossy(&stderr).into_owned()))
        }
    }

    /// Waits until a member answers for the whole cluster.
    fn wait(&mut self, member: usize) -> io::Result<()> {
        let end = Instant::now() + START;
        loop {
            let answer = self.control(member, &["get", "milo-ready", "--command-timeout=2s"]);
            let Err(error) = answer else { return Ok(()) };
            let gone = self.members[member].is_gone()?;
            if gone || Instant::now() > end {
                let log = self.members[member].end_of_log();
                return Err(io::Error::other(format!("etcd does not start: {error}\n{log}")));
            }
        }
    }
}

impl Member {
    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.client_port)
    }

    fn spawn(&mut self) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let process = Command::new("etcd")
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.process = Some(process);
        Ok(())
    }

    fn is_gone(&mut self) -> io::Result<bool> {
        Ok(match &mut self.process {
            Some(process) => process.try_wait()?.is_some(),
            None => true,
        })
    }

    fn signal(&self, signal: &str) -> io::Result<()> {
        let Some(process) = &self.process else { return Ok(()) };
        let id = process.id().to_string();
        let done = Command::new("kill").args([&format!("-{signal}"), &id]).status()?;
        if done.success() { Ok(()) } else { Err(io::Error::other("kill failed")) }
    }

    fn kill(&mut self) -> io::Result<()> {
        if let Some(process) = &mut self.process {
            process.kill()?;
        }
        self.join()
    }

    fn join(&mut self) -> io::Result<()> {
        match self.process.take() {
            Some(mut process) => process.wait().map(drop),
            None => Ok(()),
        }
    }

    fn end_of_log(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for EtcdServer {
    fn drop(&mut self) {
        for member in &mut self.members {
            let _gone = member.kill();
        }
    }
}

impl fmt::Debug for EtcdServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.members.iter().map(Member::host).collect();
        f.debug_struct("EtcdServer").field("hosts", &hosts).finish_non_exhaustive()
    }
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Ports that nobody listens on. All are held until all are found, so that they differ.
fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let listeners: Vec<_> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<io::Result<_>>()?;
    listeners.iter().map(|listener| listener.local_addr().map(|address| address.port())).collect()
}

/// An authority, and a certificate of its for the members and one for clients.
fn make_certificates(directory: &Path) -> io::Result<()> {
    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    };
    let write = |name: &str, text: String| std::fs::write(directory.join(name), text);
    let authority_key = KeyPair::generate().map_err(io::Error::other)?;
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&authority_key).map_err(io::Error::other)?;
    write("ca.pem", authority.pem())?;
    let issuer = Issuer::new(parameters, authority_key);
    for name in ["server", "client"] {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut parameters =
            CertificateParams::new(["127.0.0.1".to_owned()]).map_err(io::Error::other)?;
        // The members' gateway is a client of theirs, too.
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = parameters.signed_by(&key, &issuer).map_err(io::Error::other)?;
        write(&format!("{name}.pem"), certificate.pem())?;
        write(&format!("{name}-key.pem"), key.serialize_pem())?;
    }
    Ok(())
}
