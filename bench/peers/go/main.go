// SPDX-License-Identifier: MIT
//
// The peers in Go (run.sh sets GOMAXPROCS=1, one loop as everybody else has, but for the last two lines, which have
// all cores):
//
//	gobench spawn_join | set_next | yield | sem    time per operation, median of a few samples
//	gobench sleepers N                             N goroutines asleep: memory and CPU
//	gobench echo PORT | http PORT                  servers, port 0 for any
//	gobench chan_1 | pingpong1 | select | mutex | mutex_1000 | cancel    time per operation (sync.go)
//	gobench pingpong | chan_2                      two goroutines, each locked to a thread
//	gobench spawn_any | imbalance | parallel       time per task; milliseconds
//
// Figures come as "SUFFIX VALUE UNIT", a server's port on a line of its own, as ../../bench.h says.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	samples = 5
	tasks   = 100000
	trips   = 20000
)

// sample runs f a few times and reports the median time divided by operations.
func sample(unit string, operations int, f func()) {
	v := []float64{}
	for i := 0; i < samples; i++ {
		t := time.Now()
		f()
		v = append(v, float64(time.Since(t).Nanoseconds())/float64(operations))
	}
	sort.Float64s(v)
	fmt.Printf("- %.3f %s\n", v[len(v)/2], unit)
}

// each runs f in n goroutines and waits for all of them.
func each(n int, f func()) {
	var wg sync.WaitGroup
	wg.Add(n)
	for i := 0; i < n; i++ {
		go func() { f(); wg.Done() }()
	}
	wg.Wait()
}

func spawnJoin() {
	var count atomic.Int64
	sample("ns/task", tasks, func() { each(tasks, func() { count.Add(1) }) })
	if count.Load() != samples*tasks {
		panic("count")
	}
}

// setNext: results in the order of completion, which in Go is a channel.
func setNext() {
	var count atomic.Int64
	sample("ns/task", tasks, func() {
		ended := make(chan int)
		for i := 0; i < tasks; i++ {
			i := i
			go func() { count.Add(1); ended <- i }()
		}
		for i := 0; i < tasks; i++ {
			<-ended
		}
	})
	if count.Load() != samples*tasks {
		panic("count")
	}
}

func yields() {
	sample("ns/yield", 1000000, func() {
		each(1000, func() {
			for k := 0; k < 1000; k++ {
				runtime.Gosched()
			}
		})
	})
}

func sem() {
	sample("ns/turn", 100000, func() {
		permits := make(chan struct{}, 3)
		each(1000, func() {
			for k := 0; k < 100; k++ {
				permits <- struct{}{}
				runtime.Gosched()
				<-permits
			}
		})
	})
}

func memory(key string) float64 {
	b, _ := os.ReadFile("/proc/self/status")
	for _, l := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(l, key) {
			kib, _ := strconv.ParseFloat(strings.Fields(l)[1], 64)
			return kib * 1024
		}
	}
	return 0
}

func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

func sleepers(n int) {
	rss, used := memory("VmRSS:"), cpu()
	var wg sync.WaitGroup
	wg.Add(n)
	for i := 0; i < n; i++ {
		d := time.Duration(2000+i%1000) * time.Millisecond
		go func() { time.Sleep(d); wg.Done() }()
	}
	wg.Wait()
	used = cpu() - used
	fmt.Printf("_rss %.1f B/task\n", (memory("VmHWM:")-rss)/float64(n))
	fmt.Printf("_cpu %.4f s\n", used)
}

func pingpong() {
	runtime.LockOSThread()
	sample("ns/trip", trips, func() {
		ping, pong := make(chan struct{}), make(chan struct{})
		go func() {
			runtime.LockOSThread()
			for range ping {
				pong <- struct{}{}
			}
		}()
		for i := 0; i < trips; i++ {
			ping <- struct{}{}
			<-pong
		}
		close(ping)
	})
}

// churn, the work of imbalance, and length, that of parallel, are as ../../compute.h has them.
//
//go:noinline
func churn(x uint64, steps int) uint64 {
	for ; steps > 0; steps-- {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

func imbalance() {
	sample("ms", 1000000, func() {
		var sum atomic.Uint64
		var wg sync.WaitGroup
		wg.Add(10000)
		for i := 0; i < 10000; i++ {
			i, steps := i, 2500
			if i%100 == 0 {
				steps = 250000
			}
			go func() { sum.Add(churn(uint64(i)+1, steps)); wg.Done() }()
		}
		wg.Wait()
		if sum.Load() != 17999646052443251917 {
			panic("sum")
		}
	})
}

//go:noinline
func length(n uint64) int {
	l := 1
	for n != 1 {
		odd := -(n & 1)
		n = odd&(3*n+1) | ^odd&(n>>1)
		l++
	}
	return l
}

type chain struct {
	start  uint64
	length int
}

// better says whether c is longer than d, or as long from a smaller start.
func (c chain) better(d chain) bool {
	return c.length > d.length || c.length == d.length && c.start < d.start
}

// parallel is a goroutine per core, each taking blocks off a shared counter.
func parallel() {
	const below, block = 2000000, 4096
	sample("ms", 1000000, func() {
		var next atomic.Uint64
		found := make(chan chain)
		n := runtime.GOMAXPROCS(0)
		for w := 0; w < n; w++ {
			go func() {
				best := chain{}
				for {
					end := next.Add(block) + 1
					start := end - block
					if end > below {
						end = below
					}
					if start >= end {
						break
					}
					for ; start < end; start++ {
						if c := (chain{start, length(start)}); c.better(best) {
							best = c
						}
					}
				}
				found <- best
			}()
		}
		best := <-found
		for w := 1; w < n; w++ {
			if c := <-found; c.better(best) {
				best = c
			}
		}
		if (best != chain{1723519, 557}) {
			panic("wrong answer")
		}
	})
}

func listen(port string) net.Listener {
	l, err := net.Listen("tcp4", "127.0.0.1:"+port)
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	return l
}

func echo(port string) {
	l := listen(port)
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer c.Close()
			buf := make([]byte, 65536)
			for {
				n, err := c.Read(buf)
				if err != nil {
					return
				}
				if _, err = c.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
	}
}

func serve(port string) {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Write([]byte("hello"))
	})
	panic(http.Serve(listen(port), nil))
}

func main() {
	arg := ""
	if len(os.Args) > 2 {
		arg = os.Args[2]
	}
	switch os.Args[1] {
	case "spawn_join":
		spawnJoin()
	case "set_next":
		setNext()
	case "yield":
		yields()
	case "sem":
		sem()
	case "sleepers":
		n, _ := strconv.Atoi(arg)
		sleepers(n)
	case "pingpong":
		pingpong()
	case "chan_1":
		channel(false)
	case "chan_2", "chan_2_spin", "chan_2_sleep":
		channel(true)
	case "pingpong1":
		pingpong1()
	case "select":
		selectOne()
	case "mutex":
		mutex()
	case "mutex_1000":
		mutex1000()
	case "cancel":
		cancel()
	case "spawn_any":
		spawnJoin()
	case "imbalance":
		imbalance()
	case "parallel":
		parallel()
	case "echo":
		echo(arg)
	case "http":
		serve(arg)
	default:
		panic("no workload " + os.Args[1])
	}
}
