package ui

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// pastTimeout bounds what a page waits for past runs.
const pastTimeout = 20 * time.Second

// errNoRun says that nothing is known of a run.
var errNoRun = errors.New("nothing is known of this run")

// Past knows runs of before, also those whose objects are gone.
type Past interface {
	// Runs lists them, the latest first.
	Runs(ctx context.Context) ([]PastRun, error)
	// Run returns one with its curves.
	Run(ctx context.Context, uid string) (PastRun, error)
}

// PastRun is a run of before.
type PastRun struct {
	UID       string    `json:"uid"`
	Name      string    `json:"name"`
	Namespace string    `json:"namespace"`
	Begin     time.Time `json:"begin"`
	End       time.Time `json:"end"`
	// Duration and Sent are for people.
	Duration string `json:"duration"`
	Sent     string `json:"sent"`
	// Track is absent in a list.
	Track *Piece `json:"track,omitempty"`
}

// pastHandler answers questions for past runs: for one by its UID, otherwise for all.
func pastHandler(past Past) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pastTimeout)
		defer cancel()
		answer := struct {
			Runs  []PastRun `json:"runs"`
			Error string    `json:"error,omitempty"`
		}{}
		var err error
		if uid := r.URL.Query().Get("uid"); uid != "" {
			var one PastRun
			one, err = past.Run(ctx, uid)
			answer.Runs = append(answer.Runs, one)
		} else {
			answer.Runs, err = past.Runs(ctx)
		}
		if err != nil {
			answer.Runs, answer.Error = nil, err.Error()
		}
		if answer.Runs == nil {
			answer.Runs = []PastRun{} // null is no list
		}
		reply(w, answer)
	}
}
