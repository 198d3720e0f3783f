//! `GET /version`: the level of the Kubernetes API that this server speaks.

use std::env::consts;

use serde_json::json;

use crate::document::Document;

/// Major version of the Kubernetes API level.
pub const MAJOR: &str = "1";
/// Minor version of the Kubernetes API level. kubectl warns when it is more than one minor away.
pub const MINOR: &str = "33";
/// The full version, which Helm and Argo CD parse as a semantic version.
pub const GIT_VERSION: &str = concat!("v1.33.0+milo-", env!("CARGO_PKG_VERSION"));

/// The document behind `/version`.
#[must_use]
pub fn document() -> Document {
    Document::pretty_json(&json!({
        "major": MAJOR,
        "minor": MINOR,
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "n/a",
        "compiler": "rustc",
        "platform": platform(),
    }))
}

/// Operating system and architecture by the names that Kubernetes uses: `linux/amd64`.
fn platform() -> String {
    let os = match consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let architecture = match consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{os}/{architecture}")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::version::Info;

    use super::*;

    #[test]
    fn the_version_is_what_clients_parse() {
        let document = document();
        assert!(document.body().starts_with(b"{\n  \""), "indented");
        let info: Info = serde_json::from_slice(document.body()).unwrap();
        assert_eq!((info.major.as_str(), info.minor.as_str()), (MAJOR, MINOR));
        assert!(info.git_version.starts_with(&format!("v{MAJOR}.{MINOR}.")));
        assert_eq!(info.platform.split('/').count(), 2);
    }
}
