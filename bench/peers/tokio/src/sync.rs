// SPDX-License-Identifier: MIT
//
// The workloads on what tasks wait for together, and on cancellation. All but chan_2, which has two runtimes on two
// threads, are tasks of the one runtime that main.rs gives them.
use crate::{join_all, on, one_thread, report, sample, SAMPLES, TASKS};
use std::future::{poll_fn, ready};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, Mutex};
use tokio::task::{spawn, yield_now};
use tokio_util::sync::CancellationToken;

const MESSAGES: u64 = 1_000_000;
const CAPACITY: usize = 64;
const ROUNDS: usize = 100_000;
const MANY: usize = 1_000_000;
const DEADLINE: Duration = Duration::from_secs(1);

async fn produce(tx: mpsc::Sender<u64>) {
    for i in 0..MESSAGES {
        tx.send(i).await.unwrap();
    }
}

async fn consume(mut rx: mpsc::Receiver<u64>) {
    let mut sum = 0;
    while let Some(x) = rx.recv().await {
        sum += x;
    }
    assert_eq!(sum, MESSAGES * (MESSAGES - 1) / 2);
}

pub async fn chan_1() {
    sample("ns/msg", MESSAGES as usize, || async {
        let (tx, rx) = mpsc::channel(CAPACITY);
        join_all(vec![spawn(produce(tx)), spawn(consume(rx))]).await
    })
    .await;
}

pub fn chan_2() {
    let mut v = vec![];
    for _ in 0..SAMPLES {
        let (tx, rx) = mpsc::channel(CAPACITY);
        let t = Instant::now();
        let other = thread::spawn(move || on(one_thread(), consume(rx)));
        on(one_thread(), produce(tx));
        other.join().unwrap();
        v.push(t.elapsed().as_nanos() as f64 / MESSAGES as f64);
    }
    report("ns/msg", v);
}

// Tokio's channels have a capacity of one at least.
pub async fn pingpong1() {
    sample("ns/round", ROUNDS, || async {
        let (there, mut there_rx) = mpsc::channel(1);
        let (back, mut back_rx) = mpsc::channel(1);
        let answer = spawn(async move {
            while let Some(x) = there_rx.recv().await {
                back.send(x).await.unwrap();
            }
        });
        for i in 0..ROUNDS {
            there.send(i).await.unwrap();
            assert_eq!(back_rx.recv().await, Some(i));
        }
        drop(there);
        answer.await.unwrap();
    })
    .await;
}

pub async fn select() {
    sample("ns/op", MANY, || async {
        let (tx, rx): (Vec<_>, Vec<_>) = (0..8).map(|_| mpsc::channel::<u64>(1)).unzip();
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h]: [_; 8] = rx.try_into().unwrap();
        for i in 0..MANY as u64 {
            tx[i as usize % 8].try_send(i).unwrap();
            let got = tokio::select! {
                x = a.recv() => (0, x),
                x = b.recv() => (1, x),
                x = c.recv() => (2, x),
                x = d.recv() => (3, x),
                x = e.recv() => (4, x),
                x = f.recv() => (5, x),
                x = g.recv() => (6, x),
                x = h.recv() => (7, x),
            };
            assert_eq!(got, (i % 8, Some(i)));
        }
    })
    .await;
}

pub async fn mutex() {
    sample("ns/op", MANY, || async {
        let m = Mutex::new(());
        for _ in 0..MANY {
            drop(m.lock().await);
        }
    })
    .await;
}

pub async fn mutex_1000() {
    sample("ns/turn", 100_000, || async {
        let m = Arc::new(Mutex::new(()));
        let one = |_| {
            let m = m.clone();
            spawn(async move {
                for _ in 0..100 {
                    let _guard = m.lock().await;
                    yield_now().await;
                }
            })
        };
        join_all((0..1000).map(one).collect()).await
    })
    .await;
}

pub async fn cancel() {
    static WAITING: AtomicUsize = AtomicUsize::new(0);
    let mut v = vec![];
    for _ in 0..SAMPLES {
        WAITING.store(0, Relaxed);
        let token = CancellationToken::new();
        let one = |_| {
            let token = token.clone();
            spawn(async move {
                WAITING.fetch_add(1, Relaxed);
                token.cancelled().await
            })
        };
        let handles = (0..TASKS).map(one).collect();
        while WAITING.load(Relaxed) < TASKS {
            yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let t = Instant::now();
        token.cancel();
        join_all(handles).await;
        v.push(t.elapsed().as_nanos() as f64 / TASKS as f64);
    }
    report("ns/task", v);
}

pub async fn timeout() {
    sample("ns/op", MANY, || async {
        for _ in 0..MANY {
            tokio::time::timeout(DEADLINE, ready(())).await.unwrap();
        }
    })
    .await;
}

// The future inside is pending once, so that the timer is armed.
pub async fn timeout_armed() {
    sample("ns/op", MANY, || async {
        for _ in 0..MANY {
            let mut polled = false;
            let once = poll_fn(|cx| {
                if std::mem::replace(&mut polled, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            });
            tokio::time::timeout(DEADLINE, once).await.unwrap();
        }
    })
    .await;
}
