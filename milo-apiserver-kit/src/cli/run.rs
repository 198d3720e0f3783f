//! From flags to a running server.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use milo_core::storage::{Storage, StorageLocation, snapshot::OnlineSnapshots};
use tokio::signal::unix::{SignalKind, signal};

use super::Options;
use crate::{
    Server, ServerBuilder,
    authn::{StaticTokens, Union},
    kubeconfig::Kubeconfig,
    listener::{self, Listener},
    pki::{Pki, serving_names},
    tls::{Tls, TlsFiles},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs a server with these options until SIGTERM or SIGINT.
///
/// # Errors
/// One line that says what is wrong and what to do: a port in use, a directory that cannot be
/// written, a file that cannot be read.
pub async fn run(
    name: &str,
    options: Options,
    assemble: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> anyhow::Result<()> {
    let mut stop = Signals::new()?;
    // What cannot work fails before anything is written: a second start finds the port or the
    // storage taken, and so does not renew the certificates of the first.
    let authenticators = authenticators(&options)?;
    let address = SocketAddr::new(options.bind_address, options.secure_port);
    let port = listener::take_port(address).await?;
    let address = port.local_addr().context("the port cannot be told")?;
    make_private(&options.data_dir)?;
    let location = options.location();
    let storage = location.open().await?;
    let snapshots = give_snapshots(&location, &storage);
    let pki = open_pki(&options)?;
    let listener = Listener::new(port, tls(&options, &pki)?);
    // Programs with a command line stand alone: nobody else answers reviews for them.
    let builder = Server::builder_on(storage).authenticators(authenticators).self_reviews();
    let server = assemble(builder).build().await?;
    let kubeconfig = write_kubeconfig(name, &options, &pki, address)?;
    tracing::info!(%address, storage = %location, "serving");
    print_next_steps(&kubeconfig, &server);
    let renewal = tokio::spawn(renew_daily(name.to_owned(), options, address));
    server.serve(listener, stop.wait()).await;
    renewal.abort();
    drop(snapshots);
    tracing::info!("stopped");
    Ok(())
}

/// Renews the certificates of a long-running server before they expire; the listener follows their
/// files.
async fn renew_daily(name: String, options: Options, address: SocketAddr) {
    let mut days = tokio::time::interval(DAY);
    days.tick().await;
    loop {
        days.tick().await;
        let (name, options) = (name.clone(), options.clone());
        let renewed = tokio::task::spawn_blocking(move || {
            let pki = open_pki(&options)?;
            write_kubeconfig(&name, &options, &pki, address)
        });
        match renewed.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!("certificates cannot be renewed: {error:#}"),
            Err(error) => tracing::error!(%error, "certificates cannot be renewed"),
        }
    }
}

fn open_pki(options: &Options) -> anyhow::Result<Pki> {
    let names = serving_names(options.bind_address, &[]);
    Ok(Pki::open(options.data_dir.join("pki"), &names)?)
}

/// Makes the data directory, for this user alone.
fn make_private(directory: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).with_context(|| {
        format!("cannot make the data directory {}; choose another --data-dir", directory.display())
    })
}

fn authenticators(options: &Options) -> anyhow::Result<Union> {
    let union = Union::new().client_certificates();
    match &options.token_auth_file {
        Some(file) => Ok(union.static_tokens(StaticTokens::from_file(file)?)),
        None => Ok(union),
    }
}

fn tls(options: &Options, pki: &Pki) -> anyhow::Result<Tls> {
    let own =
        |file: &str| pki.directory().map(|directory| directory.join(file)).unwrap_or_default();
    let files = match (&options.tls_cert_file, &options.tls_private_key_file) {
        (Some(certificate), Some(key)) => TlsFiles::new(certificate, key),
        _ => TlsFiles::new(own("serving.crt"), own("serving.key")),
    };
    let mut files = files.with_client_ca(own("ca.crt"));
    if let Some(client_ca) = &options.client_ca_file {
        files = files.with_client_ca(client_ca);
    }
    Ok(Tls::from_files(files)?)
}

/// Lets `storage snapshot` read a directory that this process keeps to itself.
fn give_snapshots(
    location: &StorageLocation,
    storage: &Arc<dyn Storage>,
) -> Option<OnlineSnapshots> {
    let directory = location.directory()?;
    match OnlineSnapshots::start(directory, Arc::clone(storage)) {
        Ok(snapshots) => Some(snapshots),
        Err(error) => {
            tracing::warn!(%error, "snapshots cannot be taken while this server runs");
            None
        }
    }
}

fn write_kubeconfig(
    name: &str,
    options: &Options,
    pki: &Pki,
    address: SocketAddr,
) -> anyhow::Result<PathBuf> {
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let url = format!("https://{}", SocketAddr::new(host, address.port()));
    let trusted = match &options.tls_cert_file {
        // Whoever made that certificate is trusted if its chain ends in the file.
        Some(file) => fs::read_to_string(file)
            .with_context(|| format!("cannot read --tls-cert-file {}", file.display()))?,
        None => pki.ca_certificate().to_owned(),
    };
    let kubeconfig =
        Kubeconfig::new(name, &url, &trusted).with_client_certificate("admin", pki.admin());
    let path = match &options.write_kubeconfig {
        Some(path) => {
            kubeconfig.write(path)?;
            path.clone()
        }
        // The data directory is ours, whichever program wrote there before.
        None => {
            let path = options.data_dir.join("admin.kubeconfig");
            kubeconfig.overwrite(&path)?;
            path
        }
    };
    Ok(std::path::absolute(&path).unwrap_or(path))
}

/// The two lines that a person pastes next.
fn print_next_steps(kubeconfig: &Path, server: &Server) {
    let path = kubeconfig.display().to_string();
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+:@%".contains(&b));
    let path = if plain { path } else { format!("'{}'", path.replace('\'', r"'\''")) };
    let first = server.kinds().first().map_or("all", String::as_str);
    println!("export KUBECONFIG={path}");
    println!("kubectl get {first}");
}

/// SIGTERM and SIGINT. The second one ends the program at once.
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn new() -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
        let interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
        Ok(Self { terminate, interrupt })
    }

    async fn wait(&mut self) {
        self.first().await;
        tracing::info!("stopping: open requests may finish; signal again to stop at once");
    }

    /// Waits for the first one.
    pub(super) async fn first(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        // Listened for from here on: the task may begin late.
        let again = Self::new();
        tokio::spawn(async {
            if let Ok(mut again) = again {
                tokio::select! {
                    _ = again.terminate.recv() => {}
                    _ = again.interrupt.recv() => {}
                }
                std::process::exit(130);
            }
        });
    }
}
