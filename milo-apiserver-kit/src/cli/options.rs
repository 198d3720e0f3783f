//! The flags.

use std::{net::IpAddr, path::PathBuf};

use clap::{Parser, ValueEnum};
use milo_core::storage::StorageLocation;
use tracing_subscriber::EnvFilter;

/// The flags of a server.
#[derive(Clone, Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Options {
    /// IP address to listen on. Use 0.0.0.0 to listen on all of them
    #[arg(long, value_name = "IP", default_value = "127.0.0.1", help_heading = "Serving")]
    pub bind_address: IpAddr,

    /// Port to serve HTTPS on. 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 6443, help_heading = "Serving")]
    pub secure_port: u16,

    /// File with the serving certificate and its intermediates, in PEM. Made by this program if
    /// not given; followed when it changes
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file", help_heading = "Serving")]
    pub tls_cert_file: Option<PathBuf>,

    /// File with the key of --tls-cert-file, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert_file", help_heading = "Serving")]
    pub tls_private_key_file: Option<PathBuf>,

    /// Directory of everything that this program keeps: objects, certificates, the kubeconfig
    // Each program has a default of its own: see `cli::main`.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "./data",
        help_heading = "Storage"
    )]
    pub data_dir: PathBuf,

    /// Where objects are kept: embedded (in the data directory), embedded:DIR, memory,
    /// postgres://USER@HOST/DATABASE, etcd://HOST:PORT or etcds://HOST:PORT
    #[arg(
        long,
        global = true,
        value_name = "STORAGE",
        default_value = "embedded",
        env = "MILO_STORAGE",
        hide_env_values = true,
        help_heading = "Storage"
    )]
    pub storage: StorageLocation,

    /// File with certificates of authorities whose client certificates are accepted, in PEM, in
    /// addition to this program's own authority: CN is the user, O are the groups
    #[arg(long, value_name = "FILE", help_heading = "Authentication")]
    pub client_ca_file: Option<PathBuf>,

    /// File with bearer tokens, a line each: token,user,uid,"group1,group2"
    #[arg(long, value_name = "FILE", help_heading = "Authentication")]
    pub token_auth_file: Option<PathBuf>,

    /// Where to write the administrator's kubeconfig. The default is admin.kubeconfig in the data
    /// directory
    #[arg(long, value_name = "FILE", help_heading = "Authentication")]
    pub write_kubeconfig: Option<PathBuf>,

    /// How much to log: 0 is what an operator needs, 4 tells every request, 6 everything
    #[arg(short, long, value_name = "LEVEL", default_value_t = 0, help_heading = "Logs")]
    pub v: u8,

    /// Form of the log lines on stderr
    #[arg(long, value_enum, default_value_t = LogFormat::Text, help_heading = "Logs")]
    pub log_format: LogFormat,
}

/// The forms of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum LogFormat {
    /// For people
    Text,
    /// For programs: one JSON object a line
    Json,
}

impl Options {
    /// Where objects are kept. What is embedded is in the data directory if nothing else is said.
    pub(super) fn location(&self) -> StorageLocation {
        self.in_data_dir(self.storage.clone())
    }

    /// A location, in the data directory if it is embedded and nothing else is said.
    pub(super) fn in_data_dir(&self, location: StorageLocation) -> StorageLocation {
        location.or_in(self.data_dir.join("storage"))
    }

    /// Sends log lines to stderr. The environment variable `RUST_LOG` wins over `-v`.
    pub fn start_logging(&self) {
        let level = match self.v {
            0..=3 => "info",
            4 | 5 => "info,milo_apiserver_kit=debug,milo_core=debug",
            _ => "trace",
        };
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
        let logs = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_target(self.v >= 4);
        // A program that has set up its own logging keeps it.
        let _ = match self.log_format {
            LogFormat::Text => {
                let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
                logs.with_ansi(color).try_init()
            }
            LogFormat::Json => logs.json().flatten_event(true).try_init(),
        };
    }
}
