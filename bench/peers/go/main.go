// SPDX-License-Identifier: MIT
//
// The peers in Go (run.sh sets GOMAXPROCS=1, one loop as everybody else has):
//
//	gobench spawn_join | set_next | yield | sem    time per operation, median of a few samples
//	gobench sleepers N                             N goroutines asleep: memory and CPU
//	gobench echo PORT | http PORT                  servers, port 0 for any
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
	case "echo":
		echo(arg)
	case "http":
		serve(arg)
	default:
		panic("no workload " + os.Args[1])
	}
}
