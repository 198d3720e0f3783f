//! A list of 500 objects, next to what no server can do without: copying and encrypting its bytes.
//!
//! `cargo bench -p benches --bench list`. What is compared runs in one process, so that nothing
//! but the code differs: the whole service answers, without a socket, and the same TLS as the
//! listener's encrypts.

#![expect(clippy::unwrap_used, reason = "a bench that cannot begin has nothing to measure")]

use std::{io::Write as _, sync::Arc};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use milo_apiserver_kit::{
    Server,
    authn::{StaticTokens, Union},
    service::ApiService,
};
use milo_core::{
    identity::UserInfo,
    key::{GroupResource, Key},
    object::Object,
    scope::Scope,
    storage::{Memory, Storage as _, Transaction},
};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use serde_json::json;
use tower::ServiceExt as _;

const OBJECTS: usize = 500;
const PATH: &str = "/apis/resourcemanager.miloapis.com/v1alpha1/organizations";

/// An organization of about 520 bytes, like those of the load driver.
fn organization(name: &str) -> Object {
    Object::from_value(json!({
        "apiVersion": "resourcemanager.miloapis.com/v1alpha1", "kind": "Organization",
        "metadata": {
            "name": name, "uid": "6124f23a-b816-4826-a0d4-be996a7427c6", "generation": 1,
            "creationTimestamp": "2026-11-21T08:22:18Z", "labels": {"bench": "true"},
            "annotations": {"kubernetes.io/description": "x".repeat(200)},
        },
        "spec": {"type": "Standard"},
    }))
    .unwrap()
}

async fn service() -> ApiService {
    let storage = Arc::new(Memory::new());
    let resource = GroupResource::new("resourcemanager.miloapis.com", "organizations");
    for index in 0..OBJECTS {
        let name = format!("organization-{index:05}");
        let key = Key::object(&resource, &Scope::Platform, "", &name).unwrap();
        let encoded = organization(&name).encode();
        let put = Transaction::new().put(key, encoded.bytes().clone());
        storage.commit(put).await.unwrap();
    }
    let user = UserInfo::new("bench").with_group("system:masters");
    let authenticators = Union::new().static_tokens(StaticTokens::single("t", user));
    let server = Server::builder_on(storage).authenticators(authenticators).hierarchy();
    server.build().await.unwrap().service()
}

/// The list, in the pieces that are handed to the connection.
async fn list(service: &ApiService) -> Bytes {
    let request = Request::get(format!("{PATH}?limit={OBJECTS}"))
        .header("authorization", "Bearer t")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let answer = service.clone().oneshot(request).await.unwrap();
    answer.into_body().collect().await.unwrap().to_bytes()
}

/// The server's end of a connection after its handshake.
fn connection() -> ServerConnection {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["milo".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let name = ServerName::try_from("milo").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    while server.is_handshaking() || client.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets().unwrap();
    }
    server.set_buffer_limit(None);
    server
}

/// Encrypts into records, which are thrown away.
fn encrypt(connection: &mut ServerConnection, bytes: &[u8]) {
    connection.writer().write_all(bytes).unwrap();
    while connection.wants_write() {
        connection.write_tls(&mut std::io::sink()).unwrap();
    }
}

fn lists(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let service = runtime.block_on(service());
    let bytes = runtime.block_on(list(&service));
    let mut connection = connection();
    let mut group = criterion.benchmark_group("list of 500");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("copy and encrypt", |bencher| {
        bencher.iter(|| {
            let copy = std::hint::black_box(bytes.to_vec());
            encrypt(&mut connection, &copy);
        });
    });
    group.bench_function("answer", |bencher| {
        bencher.iter(|| runtime.block_on(list(&service)));
    });
    group.bench_function("answer and encrypt", |bencher| {
        bencher.iter(|| {
            let bytes = runtime.block_on(list(&service));
            encrypt(&mut connection, &bytes);
        });
    });
    group.finish();
}

criterion_group!(benches, lists);
criterion_main!(benches);
