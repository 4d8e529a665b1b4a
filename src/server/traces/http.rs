//! HTTP/1.1 to a collector on a trusted network: what `opentelemetry-otlp` needs of a
//! client, over the hyper that the admin listener uses. Without TLS, connection reuse
//! and redirects: a collector runs beside the server, and gets a request now and then.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::net::TcpStream;

/// Bytes of an answer that are read; one that says how many spans it refused is short.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Where plain HTTP is.
const HTTP_PORT: u16 = 80;

/// The client.
#[derive(Debug)]
pub(super) struct PlainHttpClient;

/// Why nothing was sent.
#[derive(Debug)]
struct MissingHostError;

impl fmt::Display for MissingHostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address names no host")
    }
}

impl std::error::Error for MissingHostError {}

type Answered = Result<Response<Bytes>, HttpError>;

// The form that `async_trait` gives the trait's only method.
impl HttpClient for PlainHttpClient {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Answered> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(send(request))
    }
}

async fn send(request: Request<Bytes>) -> Answered {
    let (mut head, body) = request.into_parts();
    let authority = head.uri.authority().ok_or(MissingHostError)?.clone();
    let port = authority.port_u16().unwrap_or(HTTP_PORT);
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, port)).await?;
    head.headers.insert(HOST, HeaderValue::from_str(authority.as_str())?);
    head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = Uri::try_from(path)?;
    let request = Request::from_parts(head, Full::new(body));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    };
    // The connection moves only while somebody waits for it.
    tokio::pin!(exchange);
    tokio::select! {
        answered = &mut exchange => answered,
        broken = connection => match broken {
            // It was closed behind the answer.
            Ok(()) => exchange.await,
            Err(error) => Err(error.into()),
        },
    }
}
