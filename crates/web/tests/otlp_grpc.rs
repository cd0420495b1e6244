//! Telemetry over gRPC, by the client that exporters use.

mod common;

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use common::{Server, gzip, protobuf, spans};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;
use tokio::net::TcpListener;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tower::ServiceExt;
use uplift_intake::otlp::proto::ExportTraceServiceRequest;
use uplift_model::Policy;
use uplift_model::policy::OtlpPolicy;
use uplift_store::SystemReads;
use uplift_web::ConnectionLimits;

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap_or_else(|error| panic!("{error}"));
    let address = listener.local_addr().unwrap_or_else(|error| panic!("{error}"));
    tokio::spawn(uplift_web::serve(listener, router, ConnectionLimits::default(), None, std::future::pending()));
    address
}

async fn client(router: Router) -> TraceServiceClient<Channel> {
    let url = format!("http://{}", serve(router).await);
    let endpoint = Channel::from_shared(url).unwrap_or_else(|error| panic!("{error}"));
    TraceServiceClient::new(endpoint.connect().await.unwrap_or_else(|error| panic!("{error}")))
}

fn request(calls: usize) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(protobuf(&spans(calls)).as_slice()).unwrap_or_default()
}

async fn events(server: &Server) -> Option<i64> {
    server.store.task_counts().await.ok().map(|counts| counts.events)
}

#[tokio::test]
async fn spans_are_taken_on_the_shared_port_and_on_their_own() {
    let server = Server::new();
    for (router, calls) in [(server.router.clone(), 2), (server.grpc.clone(), 4)] {
        let plain = client(router).await;
        let packed = plain.clone().send_compressed(CompressionEncoding::Gzip);
        for (mut client, calls) in [(plain, calls), (packed, calls + 1)] {
            let answer = client.export(request(calls)).await.map(tonic::Response::into_inner);
            assert_eq!(answer.map(|answer| answer.partial_success).ok(), Some(None));
            assert_eq!(events(&server).await, Some(calls as i64 + 1));
        }
    }
}

#[tokio::test]
async fn what_cannot_be_taken_is_counted() {
    let server = Server::new();
    let mut client = client(server.router.clone()).await;
    let mut sent = request(2);
    sent.resource_spans[0].scope_spans[0].spans[1].span_id.clear();
    let answer = client.export(sent).await.unwrap_or_else(|error| panic!("{error}")).into_inner();
    assert_eq!(answer.partial_success.map(|partial| partial.rejected_spans), Some(1));
    assert_eq!(events(&server).await, Some(2));
}

#[tokio::test]
async fn a_full_queue_and_a_closed_store_are_worth_a_retry() {
    let server = Server::new();
    let mut client = client(server.router.clone()).await;
    let held = server.engine.try_admit(usize::MAX);
    let status = client.export(request(1)).await.err().unwrap_or_else(|| tonic::Status::ok(""));
    let pause = status.metadata().get("grpc-retry-pushback-ms").and_then(|value| value.to_str().ok());
    assert_eq!((status.code(), pause), (Code::ResourceExhausted, Some("1000")), "{status:?}");
    assert!(!status.details().is_empty(), "without RetryInfo exporters drop the data");
    drop(held);
    assert!(client.export(request(1)).await.is_ok());
    server.store.close().await;
    let status = client.export(request(2)).await.err().unwrap_or_else(|| tonic::Status::ok(""));
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
}

#[tokio::test]
async fn a_full_disk_is_worth_a_retry_and_the_retry_is_taken() {
    let server = Server::new();
    let mut client = client(server.router.clone()).await;
    assert!(client.export(request(1)).await.is_ok());
    let taken = events(&server).await;
    let before = server.store.storage().await.map(|storage| storage.file_bytes / 4_096).unwrap_or_default();
    let bounded = server.store.bound_pages(u32::try_from(before).unwrap_or_default()).await;
    assert_eq!(bounded, Ok(()));
    for _ in 0..2 {
        let status = client.export(request(3_000)).await.err().unwrap_or_else(|| tonic::Status::ok(""));
        let pause = status.metadata().get("grpc-retry-pushback-ms").and_then(|value| value.to_str().ok());
        assert_eq!((status.code(), pause), (Code::Unavailable, Some("10000")), "{status:?}");
        assert!(status.message().contains("disk_full") && !status.details().is_empty(), "{status:?}");
        assert_eq!(events(&server).await, taken, "nothing of it, and nothing that was there is lost");
    }
    // Without a restart, and over the same connection.
    assert_eq!(server.store.bound_pages(u32::MAX).await, Ok(()));
    let answer = client.export(request(3_000)).await.map(tonic::Response::into_inner);
    assert_eq!(answer.map(|answer| answer.partial_success).ok(), Some(None));
    assert_eq!(events(&server).await, Some(3_001));
}

#[tokio::test]
async fn what_is_too_large_is_refused_for_good() {
    let otlp = OtlpPolicy { max_request_bytes: 20_000, ..OtlpPolicy::default() };
    let server = Server::with(Policy { otlp, ..Policy::default() });
    let plain = client(server.router.clone()).await;
    let packed = plain.clone().send_compressed(CompressionEncoding::Gzip);
    for (mut client, code) in [(plain, Code::InvalidArgument), (packed, Code::ResourceExhausted)] {
        let status = client.export(request(1_000)).await.err().unwrap_or_else(|| tonic::Status::ok(""));
        assert_eq!(status.code(), code, "{status:?}");
        // Of these codes, exporters try again only after the second, and only where it says when.
        assert!(status.metadata().get("grpc-retry-pushback-ms").is_none(), "{status:?}");
        assert!(status.details().is_empty() || code == Code::InvalidArgument, "{status:?}");
    }
    assert_eq!(events(&server).await, Some(0));
}

/// What is answered to a message as it is, in gRPC's frame.
async fn raw(router: &Router, path: &str, headers: &[(&str, &str)], message: &[u8], packed: bool) -> (u16, String) {
    let mut body = vec![u8::from(packed)];
    body.extend_from_slice(&(message.len() as u32).to_be_bytes());
    body.extend_from_slice(message);
    let mut request = Request::builder().method("POST").uri(path).header("host", "localhost:4317");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body)).unwrap_or_else(|error| panic!("{error}"));
    let answer = router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
    let status = answer.headers().get("grpc-status").and_then(|value| value.to_str().ok()).unwrap_or_default();
    (answer.status().as_u16(), status.to_owned())
}

#[tokio::test]
async fn messages_that_cannot_be_read_are_refused() {
    type Row<'a> = (&'a str, Vec<(&'a str, &'a str)>, &'a [u8], bool, (u16, &'a str));
    let server = Server::new();
    let grpc = ("content-type", "application/grpc");
    let metrics = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
    let (good, packed) = (protobuf(&spans(1)), gzip(&protobuf(&spans(1))));
    let table: Vec<Row<'_>> = vec![
        (TRACES, vec![grpc], b"{}", false, (200, "3")),
        (TRACES, vec![grpc], &good[..good.len() - 5], false, (200, "3")),
        (TRACES, vec![grpc, ("grpc-encoding", "gzip")], &packed[..packed.len() - 9], true, (200, "13")),
        (TRACES, vec![grpc, ("grpc-encoding", "br")], &good, true, (200, "12")),
        (TRACES, vec![("content-type", "application/json")], b"{}", false, (415, "")),
        (TRACES, vec![grpc, ("origin", "http://evil.example")], &good, false, (403, "")),
        (metrics, vec![grpc], &good, false, (200, "12")),
        ("/v1/nothing", vec![], b"", false, (404, "")),
    ];
    for (path, headers, message, packed, (http, status)) in table {
        for router in [&server.router, &server.grpc] {
            let answer = raw(router, path, &headers, message, packed).await;
            assert_eq!(answer, (http, status.to_owned()), "{path} {headers:?}");
        }
    }
    assert_eq!(events(&server).await, Some(0));
}
