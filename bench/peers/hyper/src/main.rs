// SPDX-License-Identifier: MIT
//
// hyper_bench PORT: keep-alive "hello" on hyper 0.14 and Tokio's current-thread flavour; port 0 for any. The one it
// got is printed on a line of its own, as ../../bench.h says.
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::server::conn::Http;
use hyper::service::service_fn;
use hyper::{Body, Request, Response};
use std::convert::Infallible;
use std::io::Write;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::spawn;

fn listen(port: &str) -> TcpListener {
    let s = TcpSocket::new_v4().unwrap();
    s.set_reuseaddr(true).unwrap();
    s.bind(format!("127.0.0.1:{port}").parse().unwrap()).unwrap();
    let l = s.listen(4096).unwrap();
    println!("{}", l.local_addr().unwrap().port());
    std::io::stdout().flush().unwrap();
    l
}

// Content-Length comes from hyper, which knows the body's size. It also adds a Date (37 bytes more than the reply
// of the C programs; Go and Node send one too), and 0.14 has no switch for that: what it writes is cached and
// renewed once a second, so a Date of our own would only cost more.
async fn hello(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    let mut reply = Response::new(Body::from("hello"));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(reply)
}

async fn serve(port: String) {
    let l = listen(&port);
    let mut http = Http::new();
    http.http1_only(true).http1_keep_alive(true);
    loop {
        let (s, _) = l.accept().await.unwrap();
        let _ = s.set_nodelay(true);
        // An error is a client that went away, which ends its connection and nothing else.
        let connection = http.serve_connection(s, service_fn(hello));
        spawn(async move {
            let _ = connection.await;
        });
    }
}

// As a task of the runtime, not inside block_on itself.
fn main() {
    let port = std::env::args().nth(1).expect("usage: hyper_bench PORT");
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    rt.block_on(async { spawn(serve(port)).await.unwrap() })
}
