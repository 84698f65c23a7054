// SPDX-License-Identifier: MIT
//
// The peers on Tokio, on its current-thread flavour where nothing else is said:
//     tokio_bench spawn_join | set_next | yield | sem      time per operation, median of a few samples
//     tokio_bench chan_1 | pingpong1 | select | mutex | mutex_1000                the same (sync.rs)
//     tokio_bench cancel | timeout | timeout_armed                                the same (sync.rs)
//     tokio_bench sleepers N                               N tasks asleep: memory and CPU
//     tokio_bench echo PORT | http PORT                    servers, port 0 for any
//     tokio_bench blocking_seq | blocking_flight           a pool of four threads
//     tokio_bench pingpong | chan_2                        two runtimes on two threads
//     tokio_bench spawn_any | imbalance                    the multi-thread flavour, a worker per core
// Figures come as "SUFFIX VALUE UNIT", a server's port on a line of its own, as ../../bench.h says.
mod sync;

use std::future::Future;
use std::io::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{spawn, spawn_blocking, yield_now, JoinHandle, JoinSet};

const SAMPLES: usize = 5;
const TASKS: usize = 100_000;
const TRIPS: usize = 20_000;
const BLOCKING_THREADS: usize = 4;
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn report(unit: &str, mut v: Vec<f64>) {
    v.sort_by(|a, b| a.partial_cmp(b).unwrap());
    println!("- {:.3} {unit}", v[v.len() / 2]);
}

async fn sample<F: Future>(unit: &str, operations: usize, mut f: impl FnMut() -> F) {
    let mut v = vec![];
    for _ in 0..SAMPLES {
        let t = Instant::now();
        f().await;
        v.push(t.elapsed().as_nanos() as f64 / operations as f64);
    }
    report(unit, v);
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

async fn blocking_seq() {
    sample("ns/trip", TRIPS, || async {
        for _ in 0..TRIPS {
            spawn_blocking(|| {}).await.unwrap();
        }
    })
    .await;
}

async fn blocking_flight() {
    sample("ns/job", TASKS, || async {
        join_all((0..TASKS).map(|_| spawn_blocking(|| {})).collect()).await
    })
    .await;
}

// Notify is the least that can wake a task of another runtime.
fn pingpong() {
    let mut v = vec![];
    for _ in 0..SAMPLES {
        let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (ping2, pong2) = (ping.clone(), pong.clone());
        let t = Instant::now();
        let other = thread::spawn(move || {
            on(one_thread(), async move {
                for _ in 0..TRIPS {
                    ping2.notified().await;
                    pong2.notify_one();
                }
            })
        });
        on(one_thread(), async move {
            for _ in 0..TRIPS {
                ping.notify_one();
                pong.notified().await;
            }
        });
        v.push(t.elapsed().as_nanos() as f64 / TRIPS as f64);
        other.join().unwrap();
    }
    report("ns/trip", v);
}

// The work of imbalance, as ../../compute.h has it.
#[inline(never)]
fn churn(mut x: u64, steps: u32) -> u64 {
    for _ in 0..steps {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    x
}

async fn imbalance() {
    static SUM: AtomicU64 = AtomicU64::new(0);
    sample("ms", 1_000_000, || async {
        SUM.store(0, Relaxed);
        let one = |i: u64| spawn(async move {
            let steps = if i % 100 == 0 { 250_000 } else { 2500 };
            SUM.fetch_add(churn(i + 1, steps), Relaxed);
        });
        join_all((0..10_000).map(one).collect()).await;
        assert_eq!(SUM.load(Relaxed), 17_999_646_052_443_251_917);
    })
    .await;
}

fn one_thread() -> Runtime {
    let mut b = Builder::new_current_thread();
    b.enable_all().max_blocking_threads(BLOCKING_THREADS).build().unwrap()
}

fn thread_per_core() -> Runtime {
    Builder::new_multi_thread().enable_all().build().unwrap()
}

// As a task of the runtime, not inside block_on itself.
fn on<F: Future<Output = ()> + Send + 'static>(rt: Runtime, f: F) {
    rt.block_on(async { spawn(f).await.unwrap() })
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let arg = args.get(2).cloned().unwrap_or_default();
    match args.get(1).map_or("", |s| s.as_str()) {
        "spawn_join" => on(one_thread(), spawn_join()),
        "set_next" => on(one_thread(), set_next()),
        "yield" => on(one_thread(), yields()),
        "sem" => on(one_thread(), sem()),
        "sleepers" => on(one_thread(), sleepers(arg.parse().unwrap())),
        "echo" => on(one_thread(), async move { echo(&arg).await }),
        "http" => on(one_thread(), async move { http(&arg).await }),
        "blocking_seq" => on(one_thread(), blocking_seq()),
        "blocking_flight" => on(one_thread(), blocking_flight()),
        "pingpong" => pingpong(),
        "chan_1" => on(one_thread(), sync::chan_1()),
        "chan_2" | "chan_2_spin" | "chan_2_sleep" => sync::chan_2(),
        "pingpong1" => on(one_thread(), sync::pingpong1()),
        "select" => on(one_thread(), sync::select()),
        "mutex" => on(one_thread(), sync::mutex()),
        "mutex_1000" => on(one_thread(), sync::mutex_1000()),
        "cancel" => on(one_thread(), sync::cancel()),
        "timeout" => on(one_thread(), sync::timeout()),
        "timeout_armed" => on(one_thread(), sync::timeout_armed()),
        "spawn_any" => on(thread_per_core(), spawn_join()),
        "imbalance" => on(thread_per_core(), imbalance()),
        w => panic!("no workload {w}"),
    }
}
