package lab

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Retrieval tiers, by their S3 names.
const (
	tierExpedited = "Expedited"
	tierStandard  = "Standard"
	tierBulk      = "Bulk"
)

// classDeepArchive is the class that has no tier Expedited.
const classDeepArchive = "DEEP_ARCHIVE"

// Glacier answers for a server that has some of its objects in an archive storage class, as S3
// does: they can't be read until RestoreObject was asked for them and time has passed.
type Glacier struct {
	// Backend has the objects.
	Backend http.Handler
	// Class of the objects that are archived, GLACIER or DEEP_ARCHIVE.
	Class string
	// Archived says which keys are.
	Archived func(bucket, key string) bool
	// Takes is how long it takes to thaw an object; without it, until Thaw is called.
	Takes time.Duration

	mu     sync.Mutex
	thawed map[string]*thaw
}

// thaw is what was asked for an object.
type thaw struct {
	days  int
	tier  string
	asked time.Time
	// ready is when it is readable; zero for not until Thaw.
	ready time.Time
}

// restoreRequest is the body of RestoreObject.
type restoreRequest struct {
	Days                 int
	GlacierJobParameters struct{ Tier string }
}

// Asked returns what was asked for, as "BUCKET/KEY TIER DAYS", sorted.
func (g *Glacier) Asked() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]string, 0, len(g.thawed))
	for name, t := range g.thawed {
		all = append(all, fmt.Sprintf("%s %s %d", name, t.tier, t.days))
	}
	slices.Sort(all)
	return all
}

// Thaw makes readable what was asked for and which a function chooses; nil chooses all.
func (g *Glacier) Thaw(which func(name string) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, t := range g.thawed {
		if which == nil || which(name) {
			t.ready = time.Now()
		}
	}
}

// Freeze ends all readable copies, as if their days had passed.
func (g *Glacier) Freeze() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.thawed)
}

// state returns what was asked for an object, nil for nothing, and whether it can be read.
func (g *Glacier) state(name string) (t *thaw, readable bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t = g.thawed[name]; t == nil {
		return nil, false
	}
	copied := *t
	return &copied, !t.ready.IsZero() && !time.Now().Before(t.ready)
}

// ServeHTTP implements http.Handler.
func (g *Glacier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := parseTarget(r, "")
	name := at.bucket + "/" + at.key
	asks := r.Method == http.MethodPost && r.URL.Query().Has("restore")
	archived := at.key != "" && g.Archived(at.bucket, at.key)
	t, readable := g.state(name)
	switch {
	case asks && !archived:
		s3Error{http.StatusForbidden, "InvalidObjectState", "Restore is not allowed for the object's current storage class"}.write(w, r)
	case asks:
		g.ask(w, r, name)
	case archived && at.operation == opGetObject && !readable:
		s3Error{http.StatusForbidden, "InvalidObjectState", "The operation is not valid for the object's storage class"}.write(w, r)
	case archived && (at.operation == opHeadObject || at.operation == opGetObject):
		g.Backend.ServeHTTP(&glacierAnswer{ResponseWriter: w, class: g.Class, restore: t.header(readable)}, r)
	default:
		g.Backend.ServeHTTP(w, r)
	}
}

// ask answers RestoreObject.
func (g *Glacier) ask(w http.ResponseWriter, r *http.Request, name string) {
	var asked restoreRequest
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err == nil {
		err = xml.Unmarshal(body, &asked)
	}
	tier := asked.GlacierJobParameters.Tier
	if err != nil || asked.Days < 1 || !slices.Contains([]string{tierExpedited, tierStandard, tierBulk}, tier) {
		s3Error{http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed"}.write(w, r)
		return
	}
	if g.Class == classDeepArchive && tier == tierExpedited {
		s3Error{http.StatusBadRequest, "InvalidArgument", "Retrieval option is not supported by this storage class"}.write(w, r)
		return
	}
	before, readable := g.state(name)
	if before != nil && !readable {
		s3Error{http.StatusConflict, "RestoreAlreadyInProgress", "Object restore is already in progress"}.write(w, r)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if before != nil { // The copy is kept for longer.
		g.thawed[name].days = asked.Days
		w.WriteHeader(http.StatusOK)
		return
	}
	next := &thaw{days: asked.Days, tier: tier, asked: time.Now()}
	if g.Takes > 0 {
		next.ready = next.asked.Add(g.Takes)
	}
	if g.thawed == nil {
		g.thawed = map[string]*thaw{}
	}
	g.thawed[name] = next
	w.WriteHeader(http.StatusAccepted)
}

// header is the x-amz-restore of an object; "" if nothing was asked for.
func (t *thaw) header(readable bool) string {
	switch {
	case t == nil:
		return ""
	case !readable:
		return `ongoing-request="true"`
	default:
		return fmt.Sprintf(`ongoing-request="false", expiry-date=%q`, t.ready.AddDate(0, 0, t.days).UTC().Format(http.TimeFormat))
	}
}

// glacierAnswer adds to an answer how the object is kept.
type glacierAnswer struct {
	http.ResponseWriter
	class, restore string
	begun          bool
}

// WriteHeader implements http.ResponseWriter.
func (a *glacierAnswer) WriteHeader(status int) {
	if !a.begun && status/100 == 2 {
		a.Header().Set("X-Amz-Storage-Class", a.class)
		if a.restore != "" {
			a.Header().Set("X-Amz-Restore", a.restore)
		}
	}
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *glacierAnswer) Write(p []byte) (int, error) {
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap lets the answer be flushed while it is copied.
func (a *glacierAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
