//! Serves one kind, greetings, to kubectl and whatever else speaks Kubernetes.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to say, and to whom.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug)]
#[kube(group = "hello.example.com", version = "v1", kind = "Greeting", shortname = "hi")]
#[kube(printcolumn(name = "To", type_ = "string", json_path = ".spec.to"))]
#[kube(validation = Rule::new("self.spec.to != 'nobody'").message("greet somebody"))]
pub struct GreetingSpec {
    /// Whom to greet.
    #[schemars(length(min = 1, max = 63))]
    pub to: String,

    /// How often.
    #[serde(default = "once")]
    pub times: u8,
}

fn once() -> u8 {
    1
}

fn main() -> std::process::ExitCode {
    milo_apiserver_kit::cli::main("hello", |server| server.kind::<Greeting>())
}
