//! The part of a kubeconfig that the driver uses: the current context.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::credentials::{Credentials, Identity, Trust, read};

#[derive(Deserialize)]
struct Kubeconfig {
    #[serde(rename = "current-context", default)]
    current_context: String,
    #[serde(default)]
    contexts: Vec<NamedContext>,
    #[serde(default)]
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: String,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
}

/// Credentials of the current context of the file at `path`.
///
/// # Errors
///
/// When the file is unreadable, its current context is incomplete, or the user has
/// credentials other than a certificate or a token (plugins are not run).
pub(super) fn load(path: &Path) -> anyhow::Result<Credentials> {
    let text = String::from_utf8(read(path)?).context("a kubeconfig is text")?;
    let folder = path.parent().unwrap_or(Path::new("."));
    parse(&text, folder).with_context(|| format!("cannot use kubeconfig {}", path.display()))
}

/// `folder` is what relative paths in the file are relative to.
fn parse(text: &str, folder: &Path) -> anyhow::Result<Credentials> {
    let config: Kubeconfig = serde_saphyr::from_str(text)?;
    let wanted = &config.current_context;
    let context = &config
        .contexts
        .iter()
        .find(|entry| entry.name == *wanted)
        .with_context(|| format!("there is no context {wanted:?} (current-context)"))?
        .context;
    let cluster = &config
        .clusters
        .iter()
        .find(|entry| entry.name == context.cluster)
        .with_context(|| format!("there is no cluster {:?}", context.cluster))?
        .cluster;
    let user = config.users.iter().find(|entry| entry.name == context.user);
    if user.is_none() && !context.user.is_empty() {
        bail!("there is no user {:?}", context.user);
    }
    Ok(Credentials {
        server: cluster.server.clone(),
        tls_server_name: cluster.tls_server_name.clone(),
        trust: trust(cluster, folder)?,
        identity: user.map_or(Ok(Identity::Anonymous), |user| identity(&user.user, folder))?,
    })
}

fn trust(cluster: &Cluster, folder: &Path) -> anyhow::Result<Trust> {
    if cluster.insecure_skip_tls_verify {
        return Ok(Trust::Insecure);
    }
    let (data, file) = (&cluster.certificate_authority_data, &cluster.certificate_authority);
    let pem = inline_or_file(data.as_deref(), file.as_deref(), folder)
        .context("certificate-authority")?
        .context("the cluster names no certificate-authority")?;
    Trust::from_pem(&pem)
}

fn identity(user: &User, folder: &Path) -> anyhow::Result<Identity> {
    let (data, file) = (&user.client_certificate_data, &user.client_certificate);
    let certificate = inline_or_file(data.as_deref(), file.as_deref(), folder)?;
    let key = inline_or_file(user.client_key_data.as_deref(), user.client_key.as_deref(), folder)?;
    if let (Some(certificate), Some(key)) = (certificate, key) {
        return Identity::from_pem(&certificate, &key);
    }
    if let Some(token) = &user.token {
        return Ok(Identity::Token(token.clone()));
    }
    let Some(file) = &user.token_file else {
        bail!("the user has neither a client certificate with its key nor a token");
    };
    let token = String::from_utf8(read(&folder.join(file))?).context("tokenFile is not text")?;
    Ok(Identity::Token(token.trim().to_owned()))
}

/// Inline data wins over the file, as in client-go.
fn inline_or_file(
    data: Option<&str>,
    file: Option<&Path>,
    folder: &Path,
) -> anyhow::Result<Option<Vec<u8>>> {
    match (data, file) {
        (Some(data), _) if !data.is_empty() => {
            Ok(Some(BASE64_STANDARD.decode(data).context("the data is not base64")?))
        }
        (_, Some(file)) => read(&folder.join(file)).map(Some),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "
apiVersion: v1
kind: Config
preferences: {}
current-context: b
contexts:
- {name: a, context: {cluster: missing, user: u}}
- {name: b, context: {cluster: c, user: u, namespace: x}}
clusters:
- {name: c, cluster: {server: 'https://h:1', insecure-skip-tls-verify: true}}
users:
- {name: u, user: {token: secret}}
";

    #[test]
    fn the_current_context_is_taken() {
        let credentials = parse(TOKEN, Path::new("/")).unwrap();
        assert_eq!(credentials.server, "https://h:1");
        assert!(matches!(credentials.trust, Trust::Insecure));
        assert!(matches!(credentials.identity, Identity::Token(token) if token == "secret"));
    }

    #[test]
    fn a_missing_entry_is_named() {
        let error =
            parse(&TOKEN.replace("current-context: b", "current-context: a"), Path::new(""))
                .unwrap_err();
        assert_eq!(error.to_string(), "there is no cluster \"missing\"");
    }

    #[test]
    fn certificates_are_files_or_data() {
        let folder = tempfile::tempdir().unwrap();
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("cert.pem"), certified.cert.pem()).unwrap();
        let key = BASE64_STANDARD.encode(certified.signing_key.serialize_pem());
        let text = TOKEN
            .replace(
                "token: secret",
                &format!("client-certificate: cert.pem, client-key-data: {key}"),
            )
            .replace("insecure-skip-tls-verify: true", "certificate-authority: cert.pem");
        let credentials = parse(&text, folder.path()).unwrap();
        assert!(matches!(credentials.trust, Trust::Authorities(all) if all.len() == 1));
        assert!(
            matches!(credentials.identity, Identity::Certificate(chain, _) if chain.len() == 1)
        );
    }
}
