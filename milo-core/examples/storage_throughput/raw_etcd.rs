//! Etcd without an engine: the same channel, and nothing but `Put`. What an engine on etcd can
//! reach at best.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use milo_core::bytes::Bytes;
use tonic::{
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use super::{Failure, OBJECTS, value};

#[derive(Clone, PartialEq, prost::Message)]
struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PutResponse {}

/// Commits per second with so many writers, for the `host:port` of an address such as
/// `etcd://host:port/prefix`.
pub(crate) async fn rate(address: &str, writers: u64, period: Duration) -> Result<f64, Failure> {
    let host = address.trim_start_matches("etcd://").split([',', '/']).next().unwrap_or_default();
    let channel =
        Endpoint::from_shared(format!("http://{host}"))?.tcp_nodelay(true).connect().await?;
    let stop = Arc::new(AtomicBool::new(false));
    let start = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| tokio::spawn(write(channel.clone(), writer, Arc::clone(&stop))))
        .collect();
    tokio::time::sleep(period).await;
    stop.store(true, Ordering::Relaxed);
    let mut count = 0_u64;
    for task in tasks {
        count += task.await??;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

async fn write(channel: Channel, writer: u64, stop: Arc<AtomicBool>) -> Result<u64, Failure> {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let number = (count * 64 + writer).wrapping_mul(7919) % OBJECTS;
        let key =
            format!("/raw//demo.example.com/widgets/platform/ns-{}/object-{number}", number % 100);
        let request = tonic::Request::new(PutRequest { key: key.into(), value: value() });
        let mut grpc = Grpc::new(channel.clone());
        grpc.ready().await?;
        let path = http::uri::PathAndQuery::from_static("/etcdserverpb.KV/Put");
        let codec = ProstCodec::<PutRequest, PutResponse>::default();
        let _done: tonic::Response<PutResponse> = grpc.unary(request, path, codec).await?;
        count += 1;
    }
    Ok(count)
}
