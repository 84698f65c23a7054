// SPDX-License-Identifier: MIT
//
// The peers on Tokio's current-thread flavour:
//     tokio_bench spawn_join | set_next | yield | sem      time per operation, median of a few samples
//     tokio_bench sleepers N                               N tasks asleep: memory and CPU
//     tokio_bench echo PORT | http PORT                    servers, port 0 for any
// Figures come as "SUFFIX VALUE UNIT", a server's port on a line of its own, as ../../bench.h says.
use std::future::Future;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio::task::{spawn, yield_now, JoinHandle, JoinSet};

const SAMPLES: usize = 5;
const TASKS: usize = 100_000;
static COUNT: AtomicUsize = AtomicUsize::new(0);

async fn sample<F: Future>(unit: &str, operations: usize, mut f: impl FnMut() -> F) {
    let mut v = vec![];
    for _ in 0..SAMPLES {
        let t = Instant::now();
        f().await;
        v.push(t.elapsed().as_nanos() as f64 / operations as f64);
    }
    v.sort_by(|a, b| a.partial_cmp(b).unwrap());
    println!("- {:.3} {unit}", v[SAMPLES / 2]);
}

async fn join_all(handles: Vec<JoinHandle<()>>) {
    for h in handles {
        h.await.unwrap();
    }
}

async fn spawn_join() {
    sample("ns/task", TASKS, || async {
        let increment = || spawn(async { COUNT.fetch_add(1, Relaxed); });
        join_all((0..TASKS).map(|_| increment()).collect()).await
    })
    .await;
    assert_eq!(COUNT.load(Relaxed), SAMPLES * TASKS);
}

async fn set_next() {
    sample("ns/task", TASKS, || async {
        let mut set = JoinSet::new();
        for _ in 0..TASKS {
            set.spawn(async { COUNT.fetch_add(1, Relaxed); });
        }
        while set.join_next().await.is_some() {}
    })
    .await;
    assert_eq!(COUNT.load(Relaxed), SAMPLES * TASKS);
}

async fn yields() {
    sample("ns/yield", 1_000_000, || async {
        let one = |_| spawn(async { for _ in 0..1000 { yield_now().await } });
        join_all((0..1000).map(one).collect()).await
    })
    .await;
}

async fn sem() {
    sample("ns/turn", 100_000, || async {
        let s = Arc::new(Semaphore::new(3));
        let one = |_| {
            let s = s.clone();
            spawn(async move {
                for _ in 0..100 {
                    let _permit = s.acquire().await.unwrap();
                    yield_now().await;
                }
            })
        };
        join_all((0..1000).map(one).collect()).await
    })
    .await;
}

fn memory(key: &str) -> f64 {
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = s.lines().find(|l| l.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

// The standard library has no CPU clock; this is C's, in nanoseconds.
fn cpu() -> f64 {
    #[repr(C)]
    struct Timespec {
        sec: std::os::raw::c_long,
        nsec: std::os::raw::c_long,
    }
    extern "C" {
        fn clock_gettime(clock: i32, t: *mut Timespec) -> i32;
    }
    const CLOCK_PROCESS_CPUTIME_ID: i32 = 2;
    let mut t = Timespec { sec: 0, nsec: 0 };
    assert_eq!(unsafe { clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &mut t) }, 0);
    t.sec as f64 * 1e9 + t.nsec as f64
}

async fn sleepers(n: usize) {
    let (rss, used) = (memory("VmRSS:"), cpu());
    let nap = |i| spawn(tokio::time::sleep(Duration::from_millis(2000 + i as u64 % 1000)));
    join_all((0..n).map(nap).collect()).await;
    let used = cpu() - used;
    println!("_rss {:.1} B/task", (memory("VmHWM:") - rss) / n as f64);
    println!("_cpu {:.4} s", used / 1e9);
}

fn listen(port: &str) -> TcpListener {
    let s = TcpSocket::new_v4().unwrap();
    s.set_reuseaddr(true).unwrap();
    s.bind(format!("127.0.0.1:{port}").parse().unwrap()).unwrap();
    let l = s.listen(4096).unwrap();
    println!("{}", l.local_addr().unwrap().port());
    std::io::stdout().flush().unwrap();
    l
}

async fn echo(port: &str) {
    let l = listen(port);
    loop {
        let (mut s, _) = l.accept().await.unwrap();
        let _ = s.set_nodelay(true);
        spawn(async move {
            let mut buf = vec![0u8; 65536];
            while let Ok(n) = s.read(&mut buf).await {
                if n == 0 || s.write_all(&buf[..n]).await.is_err() {
                    break;
                }
            }
        });
    }
}

// No parser at all: it looks for the empty line that ends a request's head and answers once for each, so it
// does less than the servers beside it.
async fn http(port: &str) {
    const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
    let l = listen(port);
    loop {
        let (mut s, _) = l.accept().await.unwrap();
        let _ = s.set_nodelay(true);
        spawn(async move {
            let (mut buf, mut len, mut seen) = (vec![0u8; 16384], 0, 0);
            loop {
                match s.read(&mut buf[len..]).await {
                    Ok(n) if n > 0 => len += n,
                    _ => return,
                }
                while seen + 4 <= len {
                    if &buf[seen..seen + 4] == b"\r\n\r\n" {
                        if s.write_all(REPLY).await.is_err() {
                            return;
                        }
                        buf.copy_within(seen + 4..len, 0);
                        len -= seen + 4;
                        seen = 0;
                    } else {
                        seen += 1;
                    }
                }
            }
        });
    }
}

// As a task of the runtime, not inside block_on itself.
fn on<F: Future<Output = ()> + Send + 'static>(f: F) {
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    rt.block_on(async { spawn(f).await.unwrap() })
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let arg = args.get(2).cloned().unwrap_or_default();
    match args.get(1).map_or("", |s| s.as_str()) {
        "spawn_join" => on(spawn_join()),
        "set_next" => on(set_next()),
        "yield" => on(yields()),
        "sem" => on(sem()),
        "sleepers" => on(sleepers(arg.parse().unwrap())),
        "echo" => on(async move { echo(&arg).await }),
        "http" => on(async move { http(&arg).await }),
        w => panic!("no workload {w}"),
    }
}
