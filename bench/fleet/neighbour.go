package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// neighbourConnections is how many requests the neighbour always has under way.
	neighbourConnections = 64
	// neighbourBackoff is its mean pause after a refusal, neighbourRest that between two
	// objects: alone it takes about half of what the path carries.
	neighbourBackoff = 100 * time.Millisecond
	neighbourRest    = 430 * time.Millisecond
)

// neighbour is a tenant of the same bucket that knows nothing of anybody: so many
// connections, each storing one object after the other, with a rest in between, for ever.
type neighbour struct {
	cancel             context.CancelFunc
	running            sync.WaitGroup
	stored, refused    atomic.Int64
	client             *http.Client
	endpoint, location string
}

// traffic is what the neighbour has sent, or sends in a second.
type traffic struct {
	// Stored and Refused count requests.
	Stored  float64 `json:"stored"`
	Refused float64 `json:"refused"`
}

func (t traffic) since(before traffic, seconds float64) traffic {
	return traffic{(t.Stored - before.Stored) / seconds, (t.Refused - before.Refused) / seconds}
}

// startNeighbour starts one below the prefix that all share.
func startNeighbour(ctx context.Context, endpoint, bucket string) *neighbour {
	n := &neighbour{endpoint: endpoint, location: bucket + "/" + base, client: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: neighbourConnections, MaxConnsPerHost: neighbourConnections,
	}}}
	ctx, n.cancel = context.WithCancel(ctx)
	for i := range neighbourConnections {
		n.running.Go(func() { n.send(ctx, i) })
	}
	return n
}

func (n *neighbour) stop() {
	n.cancel()
	n.running.Wait()
	n.client.CloseIdleConnections()
}

func (n *neighbour) sent() traffic {
	return traffic{float64(n.stored.Load()), float64(n.refused.Load())}
}

// send stores objects one after the other, each as often as it is refused.
func (n *neighbour) send(ctx context.Context, connection int) {
	content := make([]byte, objectBytes)
	for number := 0; ctx.Err() == nil; {
		url := fmt.Sprintf("%s/%s/p%d/neighbour-%d-%d", n.endpoint, n.location, (connection+number)%lanes, connection, number)
		if n.put(ctx, url, content) {
			n.stored.Add(1)
			number++
			doze(ctx, neighbourRest)
			continue
		}
		n.refused.Add(1)
		doze(ctx, neighbourBackoff)
	}
}

// doze waits for a time that is so long on average.
func doze(ctx context.Context, mean time.Duration) {
	// Whether it came to its end is for the caller's loop to see.
	_ = pause(ctx, time.Duration((0.5+rand.Float64())*float64(mean)))
}

func (n *neighbour) put(ctx context.Context, url string, content []byte) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(content))
	if err != nil {
		return false
	}
	response, err := n.client.Do(request)
	if err != nil {
		return false // with the connection, or at the end
	}
	_, read := io.Copy(io.Discard, response.Body)
	return response.Body.Close() == nil && read == nil && response.StatusCode == http.StatusOK
}
