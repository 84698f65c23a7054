// SPDX-License-Identifier: MIT
//
// The peers on Node.js:
//     micro.js spawn_join | set_next | yield | sem    time per operation, median of a few samples
//     micro.js sleepers N                             N timers awaited: memory and CPU
// A task is an async function and its promise; yield is setImmediate, which lets the loop poll as uvt_yield
// does (an await of a plain value is cheaper and never does). Figures come as "SUFFIX VALUE UNIT".
'use strict';
const assert = require('assert');
const SAMPLES = 5, TASKS = 100000;

async function sample(unit, operations, f) {
  const v = [];
  for (let i = 0; i < SAMPLES; i++) {
    const t = process.hrtime.bigint();
    await f();
    v.push(Number(process.hrtime.bigint() - t) / operations);
  }
  v.sort((a, b) => a - b);
  console.log(`- ${v[SAMPLES >> 1].toFixed(3)} ${unit}`);
}

const tick = () => new Promise((resolve) => setImmediate(resolve));
const times = (n, f) => Array.from({ length: n }, f);

let counter = 0;
async function increment() { counter++; }

async function spawnJoin() {
  await sample('ns/task', TASKS, async () => {
    const all = [];
    for (let i = 0; i < TASKS; i++) all.push(increment());
    for (const p of all) await p;
  });
  assert.equal(counter, SAMPLES * TASKS);
}

// Results in the order of completion; the language has no such set, this is a small one.
class TaskSet {
  ended = []; taken = 0; waiter = null; live = 0;
  spawn(f) {
    this.live++;
    f().then((r) => {
      this.ended.push(r);
      this.live--;
      if (this.waiter) { this.waiter(); this.waiter = null; }
    });
  }
  async next() {
    while (this.taken === this.ended.length) {
      if (!this.live) return false;
      await new Promise((resolve) => { this.waiter = resolve; });
    }
    this.taken++;
    return true;
  }
}

async function setNext() {
  await sample('ns/task', TASKS, async () => {
    const set = new TaskSet();
    for (let i = 0; i < TASKS; i++) set.spawn(increment);
    let n = 0;
    while (await set.next()) n++;
    assert.equal(n, TASKS);
  });
}

async function yields() {
  await sample('ns/yield', 1e6, () => Promise.all(times(1000, async () => {
    for (let k = 0; k < 1000; k++) await tick();
  })));
}

// First come first served, permits handed over, as the others' semaphores; the queue is a linked list because
// Array.shift is linear in its length.
class Semaphore {
  constructor(permits) { this.permits = permits; this.head = this.tail = null; }
  acquire() {
    if (this.permits > 0) { this.permits--; return; }
    return new Promise((resolve) => {
      const w = { resolve, next: null };
      if (this.tail) this.tail.next = w; else this.head = w;
      this.tail = w;
    });
  }
  release() {
    const w = this.head;
    if (!w) { this.permits++; return; }
    this.head = w.next;
    if (!this.head) this.tail = null;
    w.resolve();
  }
}

async function sem() {
  await sample('ns/turn', 1e5, () => {
    const s = new Semaphore(3);
    return Promise.all(times(1000, async () => {
      for (let k = 0; k < 100; k++) {
        await s.acquire();
        await tick();
        s.release();
      }
    }));
  });
}

async function sleepers(n) {
  const rss = process.memoryUsage.rss();
  const before = process.cpuUsage();
  const all = [];
  for (let i = 0; i < n; i++) all.push(new Promise((resolve) => setTimeout(resolve, 2000 + i % 1000)));
  for (const p of all) await p;
  const used = process.cpuUsage(before);
  console.log(`_rss ${((process.resourceUsage().maxRSS * 1024 - rss) / n).toFixed(1)} B/task`);
  console.log(`_cpu ${((used.user + used.system) / 1e6).toFixed(4)} s`);
}

const [, , workload, n] = process.argv;
const all = { spawn_join: spawnJoin, set_next: setNext, yield: yields, sem, sleepers: () => sleepers(+n) };
all[workload]();
