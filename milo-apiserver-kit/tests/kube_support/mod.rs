//! What the tests with kube-rs share.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![expect(clippy::unwrap_used, reason = "helpers of tests say what they expect by unwrapping")]

use std::{future::Future, time::Duration};

use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use milo_apiserver_kit::{ServerBuilder, testing::TestServer};
use milo_core::resourcemanager::{Organization, OrganizationSpec, OrganizationType};
use serde_json::json;

/// Longer than anything here takes.
pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("nothing came")
}

pub(crate) async fn start() -> (TestServer, Api<Organization>) {
    let server = TestServer::start(ServerBuilder::hierarchy).await.unwrap();
    let api = Api::all(server.client().unwrap());
    (server, api)
}

pub(crate) fn organization(name: &str) -> Organization {
    let spec = OrganizationSpec { type_: Some(OrganizationType::Standard), contact_info: None };
    Organization::new(name, spec)
}

pub(crate) async fn create(api: &Api<Organization>, name: &str) -> Organization {
    api.create(&PostParams::default(), &organization(name)).await.unwrap()
}

pub(crate) fn labels(value: &str) -> Patch<serde_json::Value> {
    Patch::Merge(json!({"metadata": {"labels": {"mark": value}}}))
}

pub(crate) async fn label(api: &Api<Organization>, name: &str, value: &str) -> Organization {
    api.patch(name, &PatchParams::default(), &labels(value)).await.unwrap()
}

#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(answer: kube::Result<T>, code: u16, reason: &str) {
    match answer {
        Err(kube::Error::Api(status)) => {
            assert_eq!((status.code, status.reason.as_str()), (code, reason), "{status:?}");
        }
        other => assert!(matches!(other, Err(kube::Error::Api(_))), "{other:?}"),
    }
}

pub(crate) fn names(list: impl IntoIterator<Item = Organization>) -> Vec<String> {
    list.into_iter().map(|object| object.name_any()).collect()
}
