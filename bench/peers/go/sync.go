// SPDX-License-Identifier: MIT
//
// The workloads on what goroutines wait for together, and cancel.
package main

import (
	"context"
	"fmt"
	"runtime"
	"sort"
	"sync"
	"time"
)

const (
	messages = 1000000
	capacity = 64
	rounds   = 100000
	many     = 1000000
)

// channel, with both goroutines locked to a thread each when apart: left alone Go runs them on one for most of the
// time, and one thread is what chan_1 measures.
func channel(apart bool) {
	sample("ns/msg", messages, func() {
		c := make(chan uint64, capacity)
		var wg sync.WaitGroup
		wg.Add(2)
		go func() {
			if apart {
				runtime.LockOSThread()
			}
			for i := uint64(0); i < messages; i++ {
				c <- i
			}
			close(c)
			wg.Done()
		}()
		go func() {
			if apart {
				runtime.LockOSThread()
			}
			sum := uint64(0)
			for x := range c {
				sum += x
			}
			if sum != messages*(messages-1)/2 {
				panic("sum")
			}
			wg.Done()
		}()
		wg.Wait()
	})
}

func pingpong1() {
	sample("ns/round", rounds, func() {
		there, back := make(chan int), make(chan int)
		go func() {
			for x := range there {
				back <- x
			}
		}()
		for i := 0; i < rounds; i++ {
			there <- i
			if <-back != i {
				panic("answer")
			}
		}
		close(there)
	})
}

func selectOne() {
	sample("ns/op", many, func() {
		var c [8]chan int
		for k := range c {
			c[k] = make(chan int, 1)
		}
		for i := 0; i < many; i++ {
			c[i%8] <- i
			k, x := 0, 0
			select {
			case x = <-c[0]:
				k = 0
			case x = <-c[1]:
				k = 1
			case x = <-c[2]:
				k = 2
			case x = <-c[3]:
				k = 3
			case x = <-c[4]:
				k = 4
			case x = <-c[5]:
				k = 5
			case x = <-c[6]:
				k = 6
			case x = <-c[7]:
				k = 7
			}
			if k != i%8 || x != i {
				panic("message")
			}
		}
	})
}

func mutex() {
	var m sync.Mutex
	sample("ns/op", many, func() {
		for i := 0; i < many; i++ {
			m.Lock()
			m.Unlock()
		}
	})
}

func mutex1000() {
	sample("ns/turn", 100000, func() {
		var m sync.Mutex
		each(1000, func() {
			for k := 0; k < 100; k++ {
				m.Lock()
				runtime.Gosched()
				m.Unlock()
			}
		})
	})
}

func cancel() {
	v := []float64{}
	for r := 0; r < samples; r++ {
		ctx, stop := context.WithCancel(context.Background())
		var wg, waiting sync.WaitGroup
		wg.Add(tasks)
		waiting.Add(tasks)
		for i := 0; i < tasks; i++ {
			go func() { waiting.Done(); <-ctx.Done(); wg.Done() }()
		}
		waiting.Wait()
		time.Sleep(50 * time.Millisecond)
		t := time.Now()
		stop()
		wg.Wait()
		v = append(v, float64(time.Since(t).Nanoseconds())/tasks)
	}
	sort.Float64s(v)
	fmt.Printf("- %.3f ns/task\n", v[len(v)/2])
}
