//! The certificate directory and the kubeconfig, as files.

#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

use std::{collections::HashMap, fs, net::IpAddr, path::Path};

use milo_apiserver_kit::{
    kubeconfig::Kubeconfig,
    pki::{Pki, PkiError, serving_names},
    tls::{Tls, TlsFiles},
};
use tempfile::TempDir;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn open(directory: &Path) -> Pki {
    Pki::open(directory, &names(&["localhost", "127.0.0.1"])).unwrap()
}

/// The contents of all files with something in them.
fn contents(directory: &Path) -> HashMap<String, String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .filter(|(_, content)| !content.is_empty())
        .collect()
}

/// The names of the files that differ.
fn changes(before: &HashMap<String, String>, after: &HashMap<String, String>) -> Vec<String> {
    let mut changed: Vec<_> =
        after.iter().filter(|(name, text)| before.get(*name) != Some(*text)).collect();
    changed.sort();
    changed.into_iter().map(|(name, _)| name.clone()).collect()
}

fn root() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn opening_twice_changes_nothing() {
    let root = root();
    let first = open(root.path());
    let before = contents(root.path());
    let mut files: Vec<_> = before.keys().cloned().collect();
    files.sort();
    let expected = ["admin.crt", "admin.key", "ca.crt", "ca.key", "serving.crt", "serving.key"];
    assert_eq!(files, expected);
    let second = open(root.path());
    assert!(changes(&before, &contents(root.path())).is_empty());
    assert_eq!(first.ca_certificate(), second.ca_certificate());
    assert_eq!(first.serving(), second.serving());
    assert_eq!(first.admin().certificate(), before["admin.crt"]);
}

#[cfg(unix)]
#[test]
fn everything_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = root();
    let directory = root.path().join("new/pki");
    open(&directory);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for name in contents(&directory).keys() {
        assert_eq!(mode(&directory.join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_new_name_renews_the_serving_certificate_only() {
    let root = root();
    open(root.path());
    let before = contents(root.path());
    let wanted = names(&["localhost", "10.0.0.7", "api.example.com"]);
    Pki::open(root.path(), &wanted).unwrap();
    let after = contents(root.path());
    assert_eq!(changes(&before, &after), ["serving.crt", "serving.key"]);
    // Fewer names than the certificate has are covered by it.
    Pki::open(root.path(), &names(&["API.example.com"])).unwrap();
    assert!(changes(&after, &contents(root.path())).is_empty());
}

/// Replaces a certificate by one that expires in so many days.
fn let_expire(directory: &Path, name: &str, days: i64) {
    let read = |file: &str| fs::read_to_string(directory.join(file)).unwrap();
    let authority = rcgen::KeyPair::from_pem(&read("ca.key")).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&read("ca.crt"), authority).unwrap();
    let key = rcgen::KeyPair::from_pem(&read(&format!("{name}.key"))).unwrap();
    let mut params = rcgen::CertificateParams::new(names(&["localhost", "127.0.0.1"])).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "system:masters");
    params.distinguished_name.push(rcgen::DnType::CommonName, "admin");
    let end = jiff::Zoned::now().date() + jiff::Span::new().days(days);
    let part = |value: i8| value.unsigned_abs();
    params.not_after = rcgen::date_time_ymd(end.year().into(), part(end.month()), part(end.day()));
    let certificate = params.signed_by(&key, &issuer).unwrap();
    fs::write(directory.join(format!("{name}.crt")), certificate.pem()).unwrap();
}

#[test]
fn what_expires_soon_is_renewed() {
    for (name, days, renewed) in
        [("serving", 40, false), ("serving", 25, true), ("admin", 40, false), ("admin", -3, true)]
    {
        let root = root();
        open(root.path());
        let_expire(root.path(), name, days);
        let before = contents(root.path());
        open(root.path());
        let changed = changes(&before, &contents(root.path()));
        assert_eq!(!changed.is_empty(), renewed, "{name} {days} {changed:?}");
        assert!(changed.iter().all(|file| file.starts_with(name)), "{changed:?}");
    }
}

#[test]
fn a_new_authority_renews_what_the_old_one_issued() {
    let root = root();
    open(root.path());
    let before = contents(root.path());
    fs::remove_file(root.path().join("ca.crt")).unwrap();
    fs::remove_file(root.path().join("ca.key")).unwrap();
    open(root.path());
    assert_eq!(changes(&before, &contents(root.path())).len(), 6);
}

#[test]
fn a_lost_leaf_file_is_replaced() {
    for lost in ["serving.crt", "serving.key", "admin.crt", "admin.key"] {
        let root = root();
        open(root.path());
        fs::remove_file(root.path().join(lost)).unwrap();
        let pki = open(root.path());
        Tls::from_pki(&pki).unwrap();
        Tls::from_files(TlsFiles::new(
            root.path().join("admin.crt"),
            root.path().join("admin.key"),
        ))
        .unwrap();
    }
}

#[test]
fn a_key_alone_gets_a_certificate_and_a_certificate_alone_is_refused() {
    let root = root();
    open(root.path());
    let key = fs::read_to_string(root.path().join("ca.key")).unwrap();
    fs::remove_file(root.path().join("ca.crt")).unwrap();
    open(root.path());
    assert_eq!(fs::read_to_string(root.path().join("ca.key")).unwrap(), key);

    fs::remove_file(root.path().join("ca.key")).unwrap();
    let error = Pki::open(root.path(), &[]).unwrap_err();
    assert!(matches!(error, PkiError::NoKey { .. }), "{error}");
    assert!(error.to_string().contains("restore the key"), "{error}");
}

#[test]
fn what_cannot_be_read_is_never_overwritten() {
    for name in ["ca.crt", "ca.key", "serving.crt", "serving.key", "admin.crt", "admin.key"] {
        for garbage in ["garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
        {
            let root = root();
            open(root.path());
            fs::write(root.path().join(name), garbage).unwrap();
            let before = contents(root.path());
            let error = Pki::open(root.path(), &names(&["other"])).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("nothing was overwritten"), "{error}");
            assert!(!error.contains('\n'), "{error}");
            assert_eq!(
                fs::read_to_string(root.path().join(name)).unwrap(),
                before[name],
                "{name} was overwritten"
            );
        }
    }
}

#[test]
fn processes_that_start_together_agree() {
    let root = root();
    let authorities: Vec<String> = std::thread::scope(|scope| {
        let starts: Vec<_> =
            (0..8).map(|_| scope.spawn(|| open(root.path()).ca_certificate().to_owned())).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert!(authorities.iter().all(|authority| *authority == authorities[0]));
}

#[test]
fn names_are_checked_and_groups_counted() {
    for bad in ["", "a b", "under/slash", "-"] {
        let error = Pki::in_memory(&names(&[bad])).unwrap_err();
        assert!(matches!(error, PkiError::Name(_)), "{error}");
    }
    let pki = Pki::in_memory(&names(&["*.example.com", "::1", "kubernetes.default.svc"])).unwrap();
    pki.issue_client("bob", &["a", "b"]).unwrap();
    let error = pki.issue_client("bob", &["a", "b", "c"]).unwrap_err();
    assert!(matches!(error, PkiError::TooManyGroups(3)), "{error}");
}

#[test]
fn serving_names_are_what_people_type() {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let extra = names(&["milo.svc", "LOCALHOST"]);
    let given = serving_names(address("10.1.2.3"), &extra);
    for name in ["localhost", "127.0.0.1", "::1", "10.1.2.3", "milo.svc"] {
        assert_eq!(given.iter().filter(|given| *given == name).count(), 1, "{name} in {given:?}");
    }
    assert!(!given.contains(&"LOCALHOST".to_owned()));
    assert!(!serving_names(address("0.0.0.0"), &[]).contains(&"0.0.0.0".to_owned()));
}

fn kubeconfig(pki: &Pki) -> Kubeconfig {
    Kubeconfig::new("milo", "https://127.0.0.1:6443", pki.ca_certificate())
        .with_client_certificate("admin", pki.admin())
}

#[test]
fn kube_reads_the_kubeconfig() {
    let pki = Pki::in_memory(&[]).unwrap();
    let text = kubeconfig(&pki).to_yaml().unwrap();
    assert_eq!(text.lines().filter(|line| line.contains("-data: LS0t")).count(), 3, "{text}");
    let config = kube::config::Kubeconfig::from_yaml(&text).unwrap();
    assert_eq!(config.current_context.as_deref(), Some("milo"));
    let cluster = config.clusters[0].cluster.as_ref().unwrap();
    assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:6443"));
    assert!(cluster.certificate_authority_data.is_some());
    let user = config.auth_infos[0].auth_info.as_ref().unwrap();
    assert!(user.client_certificate_data.is_some() && user.client_key_data.is_some());
    let context = config.contexts[0].context.as_ref().unwrap();
    assert_eq!((context.cluster.as_str(), context.user.as_deref()), ("milo", Some("admin")));

    let config = Kubeconfig::new("milo", "https://[::1]:1", "ca").with_token("a: b", "x: #y");
    let config = kube::config::Kubeconfig::from_yaml(&config.to_yaml().unwrap()).unwrap();
    assert_eq!(config.auth_infos[0].name, "a: b");
}

#[test]
fn a_kubeconfig_of_somebody_else_is_kept() {
    let root = root();
    let path = root.path().join("admin.kubeconfig");
    let pki = Pki::in_memory(&[]).unwrap();
    kubeconfig(&pki).write(&path).unwrap();
    kubeconfig(&pki).write(&path).unwrap();
    // Renewed credentials replace older ones.
    kubeconfig(&Pki::in_memory(&[]).unwrap()).write(&path).unwrap();

    let theirs = [
        (
            "apiVersion: v1\nkind: Config\nclusters: [{name: prod, cluster: {server: x}}]\n",
            "\"prod\"",
        ),
        ("kind: Config\nclusters: null\nusers: [{name: me}]\n", "the user \"me\""),
        ("kind: Config\ncontexts: [{name: milo}, {name: other}]\n", "the context \"other\""),
        ("kind: Pod\n", "not a kubeconfig"),
        ("password: hunter2: x", "not a kubeconfig"),
        ("just text", "not a kubeconfig"),
    ];
    for (content, reason) in theirs {
        fs::write(&path, content).unwrap();
        let error = kubeconfig(&pki).write(&path).unwrap_err().to_string();
        assert!(error.contains("admin.kubeconfig is not overwritten: "), "{error}");
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("hunter2") && !error.contains('\n'), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
    for ours in ["", "\n", "apiVersion: v1\nkind: Config\nclusters: []\nusers: null\n"] {
        fs::write(&path, ours).unwrap();
        kubeconfig(&pki).write(&path).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_kubeconfig_in_a_directory_of_ours_is_replaced() {
    let root = root();
    let path = root.path().join("admin.kubeconfig");
    let pki = Pki::in_memory(&[]).unwrap();
    Kubeconfig::new("other", "https://127.0.0.1:1", "ca").write(&path).unwrap();
    kubeconfig(&pki).overwrite(&path).unwrap();
    let config = kube::config::Kubeconfig::from_yaml(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(config.current_context.as_deref(), Some("milo"));
}

#[test]
fn a_kubeconfig_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = root();
    let path = root.path().join("config");
    let pki = Pki::in_memory(&[]).unwrap();
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    kubeconfig(&pki).write(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn nothing_secret_is_shown() {
    let pki = Pki::in_memory(&[]).unwrap();
    let shown = format!("{pki:?} {:?} {:?}", pki.admin(), kubeconfig(&pki));
    assert!(!shown.contains("PRIVATE") && !shown.contains("LS0t"), "{shown}");
}
