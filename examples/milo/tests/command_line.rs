//! The program as its operator meets it: flags, files, what it prints, how it starts and stops.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod process;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use http::Method;
use process::{Client, Identity, ORGANIZATIONS, Server, connect_tls, milo, read, run, within};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

fn temporary() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn organization(name: &str) -> Value {
    json!({
        "apiVersion": "resourcemanager.miloapis.com/v1alpha1",
        "kind": "Organization",
        "metadata": { "name": name },
    })
}

/// All that is below a directory; files with their contents.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path.clone());
            }
            let content = path.is_file().then(|| fs::read(&path).unwrap());
            found.insert(path, content);
        }
    }
    found
}

/// A start that fails: one line on stderr, which is returned, and nothing on stdout.
async fn refused(code: i32, args: &[&str]) -> String {
    let (log, line) = refused_with_log(code, args).await;
    assert_eq!(log, "", "{args:?}");
    line
}

/// A start that fails after something was logged: the log, and the line after it.
async fn refused_with_log(code: i32, args: &[&str]) -> (String, String) {
    let failed = run(args).await;
    assert_eq!(failed.code, Some(code), "{args:?}: {failed:?}");
    assert_eq!(failed.stdout, "", "{args:?}");
    let told = failed.stderr.strip_suffix('\n').unwrap();
    let (log, line) = told.rsplit_once('\n').unwrap_or(("", told));
    let text = line.strip_prefix("milo: ").unwrap_or_else(|| panic!("{told}"));
    (log.to_owned(), text.to_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn help_is_readable_and_the_version_is_told() {
    for (flag, snapshot) in [("--help", "help"), ("-h", "short_help")] {
        let help = run([flag]).await;
        assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
        let trimmed: Vec<&str> = help.stdout.lines().map(str::trim_end).collect();
        insta::assert_snapshot!(snapshot, trimmed.join("\n"));
    }
    for flag in ["--version", "-V"] {
        let version = run([flag]).await;
        assert_eq!((version.code, version.stderr.as_str()), (Some(0), ""));
        assert_eq!(version.stdout, format!("milo {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[tokio::test]
async fn bad_flags_are_told_in_a_line() {
    for (args, told) in [
        (&["--frob"][..], "unexpected argument '--frob' found (see milo --help)"),
        (&["serve"], "unrecognized subcommand 'serve' (see milo --help)"),
        (&["storage", "frob"], "unrecognized subcommand 'frob' (see milo --help)"),
        (
            &["--tls-cert-file", "x"],
            "the following required arguments were not provided: --tls-private-key-file <FILE> \
             (see milo --help)",
        ),
        (
            &["--tls-private-key-file", "x"],
            "the following required arguments were not provided: --tls-cert-file <FILE> (see milo \
             --help)",
        ),
        (
            &["--secure-port", "65536"],
            "invalid value '65536' for '--secure-port <PORT>': 65536 is not in 0..=65535 (see \
             milo --help)",
        ),
        (
            &["--bind-address", "localhost"],
            "invalid value 'localhost' for '--bind-address <IP>': invalid IP address syntax (see \
             milo --help)",
        ),
        (
            &["--storage", "paper"],
            "invalid value 'paper' for '--storage <STORAGE>': no storage has this form: say embedded, \
             embedded:DIR, memory, postgres://USER@HOST/DATABASE or etcd://HOST:PORT (see milo --help)",
        ),
        (
            &["--data-dir"],
            "a value is required for '--data-dir <DIR>' but none was supplied (see milo --help)",
        ),
    ] {
        assert_eq!(refused(2, args).await, told);
    }
    let helped = run(["storage"]).await;
    assert_eq!((helped.code, helped.stdout.as_str()), (Some(2), ""));
    assert!(helped.stderr.contains("Usage: milo storage"), "{helped:?}");
}

#[tokio::test]
async fn a_port_or_an_address_that_cannot_be_had() {
    let root = temporary();
    let data = root.path().join("data");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let args = ["--data-dir", text(&data), "--secure-port", &port];
    assert_eq!(
        refused(1, &args).await,
        format!(
            "cannot listen on 127.0.0.1:{port}: address already in use; stop the other process or \
             choose another --secure-port"
        )
    );
    // 192.0.2.0/24 is for documentation: no machine has it.
    let args = ["--data-dir", text(&data), "--secure-port", "0", "--bind-address", "192.0.2.1"];
    let told = refused(1, &args).await;
    assert!(
        told.starts_with(
            "cannot listen on 192.0.2.1:0: this machine does not have that address; choose \
             another --bind-address"
        ),
        "{told}"
    );
    assert!(!data.exists(), "a start that failed has left something behind");
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_made() {
    let root = temporary();
    let file = root.path().join("file");
    fs::write(&file, "mine").unwrap();
    for data in [file.clone(), file.join("below")] {
        let told = refused(1, &["--secure-port", "0", "--data-dir", text(&data)]).await;
        let begin = format!(
            "cannot make the data directory {}; choose another --data-dir: ",
            data.display()
        );
        assert!(told.starts_with(&begin), "{told}");
        assert_eq!(told.matches("os error").count(), 1, "{told}");
    }
    assert_eq!(read(&file), "mine");
    // Made, but of no use: the storage's place is taken by a file.
    let data = root.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("storage"), "mine").unwrap();
    let told = refused(1, &["--secure-port", "0", "--data-dir", text(&data)]).await;
    let place = data.join("storage");
    assert!(
        told.starts_with(&format!("{} cannot be used to store data: ", place.display()))
            && told.contains("check that it is a directory that this user may write to"),
        "{told}"
    );
    assert_eq!(told.matches("os error").count(), 1, "{told}");
    assert_eq!(read(place), "mine");
}

#[tokio::test]
async fn token_files_that_cannot_be_used() {
    let root = temporary();
    let data = root.path().join("data");
    let file = root.path().join("tokens.csv");
    let path = text(&file);
    let args = ["--secure-port", "0", "--data-dir", text(&data), "--token-auth-file", path];
    assert_eq!(
        refused(1, &args).await,
        format!("cannot read the token file {path}: No such file or directory (os error 2)")
    );
    fs::write(&file, "").unwrap();
    assert_eq!(
        refused(1, &args).await,
        format!(
            "the token file {path} is empty; put lines of token,user,uid,\"group1,group2\" into \
             it, or do not configure it"
        )
    );
    fs::write(&file, "secret-1,ann,1\nsecret-2,bob\n").unwrap();
    let told = refused(1, &args).await;
    assert!(told.starts_with(&format!("line 2 of the token file {path}: ")), "{told}");
    assert!(!told.contains("secret"), "{told}");
    fs::write(&file, b"\xff\xfe,ann,1\n").unwrap();
    let told = refused(1, &args).await;
    assert!(told.contains("is not UTF-8 text"), "{told}");
    assert!(!data.exists(), "a start that failed has left something behind");
}

#[tokio::test]
async fn certificate_files_that_cannot_be_used() {
    let root = temporary();
    let data = root.path().join("data");
    Server::start(&data).await.kill().await;
    let before = contents(&data);
    let missing = root.path().join("missing.pem");
    let wrong = root.path().join("wrong.pem");
    fs::write(&wrong, "hello\n").unwrap();
    let pki = data.join("pki");
    let (own, other) = (pki.join("serving.crt"), pki.join("admin.key"));
    let base = ["--secure-port", "0", "--data-dir", text(&data)];
    let tls =
        |certificate, key| vec!["--tls-cert-file", certificate, "--tls-private-key-file", key];
    for (more, named, said) in [
        (vec!["--client-ca-file", text(&missing)], &missing, "cannot read"),
        (vec!["--client-ca-file", text(&wrong)], &wrong, "in PEM"),
        (tls(text(&missing), text(&other)), &missing, "cannot read"),
        (tls(text(&wrong), text(&other)), &wrong, "in PEM"),
        (tls(text(&own), text(&wrong)), &wrong, "in PEM"),
        (tls(text(&own), text(&other)), &own, "cannot be used together"),
    ] {
        let told = refused(1, &[&base[..], &more].concat()).await;
        assert!(told.contains(text(named)) && told.contains(said), "{told}");
        assert!(told.matches("os error").count() <= 1, "{told}");
    }
    // An own certificate that is no longer one is not overwritten.
    fs::write(pki.join("ca.crt"), "hello\n").unwrap();
    let told = refused(1, &base).await;
    assert!(told.contains("ca.crt") && told.contains("nothing was overwritten"), "{told}");
    assert_eq!(read(pki.join("ca.crt")), "hello\n");
    fs::write(pki.join("ca.crt"), before[&pki.join("ca.crt")].as_ref().unwrap()).unwrap();
    assert_eq!(
        contents(&pki),
        before.into_iter().filter(|(p, _)| p.starts_with(&pki) && *p != pki).collect()
    );
}

#[tokio::test]
async fn storage_files_of_others_and_damaged_ones_are_left_alone() {
    let root = temporary();
    let data = root.path().join("data");
    let server = Server::start(&data).await;
    let mut client = server.client().await;
    client.post(ORGANIZATIONS, &organization("kept")).await.object();
    server.kill().await;
    let file = data.join("storage/milo.redb");
    let good = fs::read(&file).unwrap();
    let args = ["--secure-port", "0", "--data-dir", text(&data)];
    let damaged = {
        let mut bytes = good.clone();
        for byte in bytes.iter_mut().skip(64).step_by(7) {
            *byte ^= 0x55;
        }
        bytes
    };
    let name = file.display();
    for (what, bytes, told) in [
        (
            "foreign",
            b"SQLite format 3\0 and so on".to_vec(),
            format!("{name} is not a Milo data file: move it away, or choose another directory"),
        ),
        ("empty", Vec::new(), format!("{name} is not a Milo data file: move it away")),
        ("cut", good[..good.len() / 2].to_vec(), format!("{name} is damaged (")),
        ("damaged", damaged, format!("{name} is damaged (")),
    ] {
        fs::write(&file, &bytes).unwrap();
        let before = contents(&data);
        let (log, line) = refused_with_log(1, &args).await;
        // redb may have panicked over it: a line in the log, like any other.
        let panicked = log.contains(" ERROR panicked: ") && !log.contains('\n');
        assert!(log.is_empty() || panicked, "{what}: {log}");
        assert!(line.starts_with(&told), "{what}: {line}");
        let advice = line.contains("choose another directory")
            || line.contains("restore the directory from a backup");
        assert!(advice, "{what}: {line}");
        assert!(contents(&data) == before, "{what}: files have changed");
    }
    fs::write(&file, &good).unwrap();
    let server = Server::start(&data).await;
    server.client().await.get(&format!("{ORGANIZATIONS}/kept")).await.object();
}

#[tokio::test]
async fn a_second_process_on_the_same_data_harms_nothing() {
    let root = temporary();
    let data = root.path().join("data");
    let server = Server::start(&data).await;
    let mut client = server.client().await;
    client.post(ORGANIZATIONS, &organization("before")).await.object();
    let before = contents(&data);
    let port = server.port().to_string();
    let told = refused(1, &["--secure-port", &port, "--data-dir", text(&data)]).await;
    assert!(told.contains("address already in use"), "{told}");
    // On another address, for which the certificate would have to be another.
    let args = ["--bind-address", "127.0.0.2", "--secure-port", "0", "--data-dir", text(&data)];
    assert_eq!(
        refused(1, &args).await,
        format!(
            "{} is in use by another process: stop that one, or choose another directory",
            data.join("storage").display()
        )
    );
    assert!(contents(&data) == before, "files have changed");
    client.get(&format!("{ORGANIZATIONS}/before")).await.object();
    server.client().await.post(ORGANIZATIONS, &organization("after")).await.object();
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn the_first_start_makes_private_files_and_the_second_uses_them() {
    let root = temporary();
    let data = root.path().join("new/data");
    let server = Server::start(&data).await;
    let kubeconfig = data.join("admin.kubeconfig");
    assert_eq!(
        server.printed,
        [
            format!("export KUBECONFIG={}", kubeconfig.display()),
            "kubectl get organizations".to_owned(),
        ]
    );
    let pki = data.join("pki");
    for directory in [&data, &pki, &data.join("storage")] {
        assert_eq!(mode(directory), 0o700, "{}", directory.display());
    }
    let files = ["ca.crt", "ca.key", "serving.crt", "serving.key", "admin.crt", "admin.key"]
        .map(|name| pki.join(name));
    for file in files.iter().chain([&kubeconfig, &data.join("storage/milo.redb")]) {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    let port = server.port().to_string();
    server.client().await.post(ORGANIZATIONS, &organization("kept")).await.object();
    server.signal("TERM").await;
    let (status, rest, _) = server.ended().await;
    assert_eq!((status.code(), rest.as_str()), (Some(0), ""), "stdout is two lines");

    let before = contents(&data);
    // The same port again, so that the kubeconfig too can stay as it is.
    let mut command = milo(["--secure-port", &port, "--data-dir"]);
    command.arg(&data);
    let server = Server::spawn(command, &data).await;
    server.client().await.get(&format!("{ORGANIZATIONS}/kept")).await.object();
    for file in files.iter().chain([&kubeconfig]) {
        assert_eq!(fs::read(file).ok(), before[file], "{} has changed", file.display());
    }
    assert!(!server.stderr().contains("created"), "{}", server.stderr());
}

#[tokio::test]
async fn any_port_is_another_one_each_time() {
    let root = temporary();
    let one = Server::start(&root.path().join("one")).await;
    let two = Server::start(&root.path().join("two")).await;
    assert_ne!(one.port(), two.port());
    for server in [&one, &two] {
        assert_eq!(server.client().await.get("/readyz").await.text, "ok");
    }
    // A server of another authority is not trusted.
    two.client_as(&one.admin()).await.err().expect("a stranger was trusted");
}

#[tokio::test]
async fn memory_forgets_and_leaves_no_storage_behind() {
    let root = temporary();
    let data = root.path().join("data");
    for _ in 0..2 {
        let server = Server::start_with(&data, ["--storage", "memory"]).await;
        let mut client = server.client().await;
        client.post(ORGANIZATIONS, &organization("forgotten")).await.object();
        server.signal("TERM").await;
        assert_eq!(server.ended().await.0.code(), Some(0));
        assert!(!data.join("storage").exists());
    }
}

#[tokio::test]
async fn json_logs_are_an_object_a_line() {
    let root = temporary();
    let server = Server::start_with(root.path(), ["--log-format", "json", "-v", "4"]).await;
    let mut client = server.client().await;
    client.post(ORGANIZATIONS, &organization("logged")).await.object();
    client.get(&format!("{ORGANIZATIONS}/missing%0Aline")).await;
    drop(client);
    server.signal("TERM").await;
    let (status, _, logs) = server.ended().await;
    assert_eq!(status.code(), Some(0));
    let lines: Vec<Value> = logs
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    for line in &lines {
        for field in ["timestamp", "level", "message"] {
            assert!(line[field].is_string(), "{field} in {line}");
        }
    }
    for message in ["serving", "request", "stopped"] {
        assert!(lines.iter().any(|line| line["message"] == message), "{message} in {logs}");
    }
}

#[tokio::test]
async fn the_kubeconfig_goes_where_it_should() {
    let root = temporary();
    let data = root.path().join("data");
    let file = root.path().join("kube config");
    let server = Server::start_with(&data, ["--write-kubeconfig", text(&file)]).await;
    assert_eq!(server.printed[0], format!("export KUBECONFIG='{}'", file.display()));
    assert_eq!(mode(&file), 0o600);
    assert!(read(&file).contains(&server.url));
    assert!(!data.join("admin.kubeconfig").exists());
    server.kill().await;
    // Somebody else's configuration stays.
    let theirs = read(&file).replace("milo", "production");
    fs::write(&file, &theirs).unwrap();
    let args = ["--secure-port", "0", "--data-dir", text(&data), "--write-kubeconfig", text(&file)];
    let told = refused(1, &args).await;
    assert!(
        told.starts_with(&format!("{} is not overwritten: it holds the cluster", file.display()))
            && told.ends_with("choose another file, or move it away"),
        "{told}"
    );
    assert_eq!(read(&file), theirs);
}

#[tokio::test]
async fn tokens_work() {
    let root = temporary();
    let data = root.path().join("data");
    let file = root.path().join("tokens.csv");
    fs::write(&file, "boss,ann,1,\"dev,system:masters\"\nguest,bob,2\n").unwrap();
    let server = Server::start_with(&data, ["--token-auth-file", text(&file)]).await;
    let nobody = Identity::trusting(&read(data.join("pki/ca.crt")));
    for (token, status) in [("boss", 200), ("guest", 403), ("wrong", 401)] {
        let mut client = server.client_as(&nobody.clone().with_token(token)).await.unwrap();
        assert_eq!(client.get(ORGANIZATIONS).await.status, status, "{token}");
    }
    assert_eq!(server.client_as(&nobody).await.unwrap().get(ORGANIZATIONS).await.status, 401);
    assert_eq!(server.client().await.get(ORGANIZATIONS).await.status, 200);
    assert!(!server.stderr().contains("boss"), "a token is in the log");
}

/// An authority that this server knows nothing of.
struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    certificate: String,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "another authority");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages =
            vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: rcgen::Issuer::new(params, key), certificate }
    }

    fn issue(
        &self,
        names: &[&str],
        subject: &[(rcgen::DnType, &str)],
        usage: rcgen::ExtendedKeyUsagePurpose,
    ) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

#[tokio::test]
async fn a_serving_certificate_of_ones_own() {
    let root = temporary();
    let authority = Authority::new();
    let (certificate, key) = authority.issue(
        &["localhost", "127.0.0.1"],
        &[],
        rcgen::ExtendedKeyUsagePurpose::ServerAuth,
    );
    let (cert_file, key_file) = (root.path().join("tls.crt"), root.path().join("tls.key"));
    fs::write(&cert_file, certificate + &authority.certificate).unwrap();
    fs::write(&key_file, key).unwrap();
    let data = root.path().join("data");
    let flags = ["--tls-cert-file", text(&cert_file), "--tls-private-key-file", text(&key_file)];
    let server = Server::start_with(&data, flags).await;
    let pki = |name: &str| read(data.join("pki").join(name));
    let admin = Identity::trusting(&authority.certificate)
        .with_certificate(&pki("admin.crt"), &pki("admin.key"));
    let mut client = server.client_as(&admin).await.unwrap();
    client.post(ORGANIZATIONS, &organization("a")).await.object();
    // It is the one that is served, not the server's own.
    server.client_as(&server.admin()).await.err().expect("its own certificate is still served");
}

#[tokio::test]
async fn client_certificates_of_another_authority() {
    let root = temporary();
    let authority = Authority::new();
    let file = root.path().join("clients.crt");
    fs::write(&file, &authority.certificate).unwrap();
    let data = root.path().join("data");
    let server = Server::start_with(&data, ["--client-ca-file", text(&file)]).await;
    let trusting = Identity::trusting(&read(data.join("pki/ca.crt")));
    let identity = |authority: &Authority, group: &str| {
        let subject =
            [(rcgen::DnType::CommonName, "carol"), (rcgen::DnType::OrganizationName, group)];
        let usage = rcgen::ExtendedKeyUsagePurpose::ClientAuth;
        let (certificate, key) = authority.issue(&[], &subject, usage);
        trusting.clone().with_certificate(&certificate, &key)
    };
    for (identity, status) in [
        (identity(&authority, "system:masters"), 200),
        (identity(&authority, "dev"), 403),
        (server.admin(), 200),
    ] {
        let mut client = server.client_as(&identity).await.unwrap();
        let answer = client.get(ORGANIZATIONS).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        if status == 403 {
            assert!(answer.text.contains("carol"), "{}", answer.text);
        }
    }
    // One that nobody knows gets no answer at all.
    let stranger = identity(&Authority::new(), "system:masters");
    let answered = async {
        let mut client = Client::connect(server.port(), &stranger).await?;
        client.try_request(Method::GET, ORGANIZATIONS, None).await
    };
    within("a refusal", answered).await.expect_err("a stranger was answered");
}

/// Reads an HTTP head, up to and with the empty line.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("a head", stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn sigterm_ends_it_when_open_requests_are_answered() {
    let root = temporary();
    let server = Server::start(root.path()).await;
    let mut watch = server.client().await.watch(&format!("{ORGANIZATIONS}?watch=true")).await;
    let idle = server.client().await;

    // A request whose body the server asks for and waits for.
    let body = organization("last").to_string();
    let head = format!(
        "POST {ORGANIZATIONS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    let mut stream = connect_tls(server.port(), &server.admin()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 100"));

    server.signal("TERM").await;
    assert_eq!(watch.next().await, None, "the watch is to end in good order");
    let (half, rest) = body.split_at(body.len() / 2);
    stream.write_all(half.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    stream.write_all(rest.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let answer = read_head(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    let mut text = String::new();
    // (Whether TLS is ended politely does not matter here.)
    let _ = within("the end", stream.read_to_string(&mut text)).await;
    assert!(text.contains("\"last\""), "{text}");

    let data = server.data.clone();
    let (status, rest, logs) = server.ended().await;
    assert_eq!((status.code(), rest.as_str()), (Some(0), ""));
    assert!(logs.trim_end().ends_with("stopped"), "{logs}");
    drop(idle);
    let server = Server::start(&data).await;
    server.client().await.get(&format!("{ORGANIZATIONS}/last")).await.object();
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let root = temporary();
    let server = Server::start(root.path()).await;
    let mut stream = connect_tls(server.port(), &server.admin()).await.unwrap();
    let head = format!(
        "POST {ORGANIZATIONS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: 10\r\nexpect: 100-continue\r\n\r\n",
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    read_head(&mut stream).await;
    let mut watch = server.client().await.watch(&format!("{ORGANIZATIONS}?watch=true")).await;
    server.signal("INT").await;
    // It has noticed the first signal, and waits for the body.
    assert_eq!(watch.next().await, None);
    server.signal("INT").await;
    assert_eq!(server.ended().await.0.code(), Some(130));
}
