// SPDX-License-Identifier: MIT
//
// The longest Collatz chain below two million on Rayon, which takes a thread per core: ms, the median of a few
// samples, as "SUFFIX VALUE UNIT" (../../bench.h). The pool is started before the first, as a program's would be.
use rayon::prelude::*;
use std::cmp::Reverse;
use std::time::Instant;

const SAMPLES: usize = 5;

// As ../../compute.h: without a branch, a function of its own.
#[inline(never)]
fn length(mut n: u64) -> u32 {
    let mut length = 1;
    while n != 1 {
        let odd = (n & 1).wrapping_neg();
        n = (odd & (3 * n + 1)) | (!odd & (n >> 1));
        length += 1;
    }
    length
}

fn main() {
    rayon::ThreadPoolBuilder::new().build_global().unwrap();
    let mut v = vec![];
    for _ in 0..SAMPLES {
        let t = Instant::now();
        let best = (1u64..2_000_000).into_par_iter().map(|n| (length(n), Reverse(n))).max();
        v.push(t.elapsed().as_secs_f64() * 1e3);
        assert_eq!(best, Some((557, Reverse(1_723_519))));
    }
    v.sort_by(|a, b| a.partial_cmp(b).unwrap());
    println!("- {:.3} ms", v[SAMPLES / 2]);
}
