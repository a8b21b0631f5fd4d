package ui

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// still is a source that always sees the same.
type still struct{ look Look }

func (s still) Look(context.Context) Look {
	l := s.look
	l.At = time.Now()
	return l
}

// served is the address of a page; stop ends it and returns how it ended.
func served(t *testing.T, source Source) (address string, stop func() error) {
	t.Helper()
	s, err := Listen(source, Options{Interval: 10 * time.Millisecond, About: About{Cluster: "c"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	stopped := false
	stop = func() error { cancel(); stopped = true; return <-done }
	t.Cleanup(func() {
		if !stopped {
			_ = stop()
		}
	})
	return s.URL, stop
}

func ask(t *testing.T, method, address string, change func(*http.Request)) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	response, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func TestOnlyThePageIsLetIn(t *testing.T) {
	address, _ := served(t, still{})
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	origin := "http://" + u.Host
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	from := func(site string) func(*http.Request) { return func(r *http.Request) { r.Header.Set("Origin", site) } }
	for name, c := range map[string]struct {
		method, address string
		change          func(*http.Request)
		want            int
	}{
		"the page":                         {"GET", address, nil, 200},
		"by the name localhost":            {"GET", address, host("localhost:" + u.Port()), 200},
		"by IPv6":                          {"GET", address, host("[::1]:" + u.Port()), 200},
		"from the page":                    {"GET", address + "about", from(origin), 200},
		"its head":                         {"HEAD", address, nil, 200},
		"without the last slash":           {"GET", strings.TrimSuffix(address, "/"), nil, 301},
		"no such file":                     {"GET", address + "etc/passwd", nil, 404},
		"above the files":                  {"GET", address + "../../etc/passwd", nil, 307},
		"without the token":                {"GET", origin + "/", nil, 404},
		"with another token":               {"GET", origin + "/" + strings.Repeat("A", 26) + "/", nil, 404},
		"with the beginning of it":         {"GET", address[:len(address)-2] + "/", nil, 404},
		"about without the token":          {"GET", origin + "/about", nil, 404},
		"feed without the token":           {"GET", origin + "/feed", nil, 404},
		"by a name that leads here":        {"GET", address, host("evil.example:" + u.Port()), 403},
		"by the right name, another port":  {"GET", address, host("127.0.0.1:1"), 403},
		"by a name without a port":         {"GET", address, host("localhost"), 403},
		"from a page of another site":      {"GET", address + "about", from("https://evil.example"), 403},
		"from a page of no site":           {"GET", address + "about", from("null"), 403},
		"from a page at another port here": {"GET", address + "about", from("http://127.0.0.1:1"), 403},
		"to change something":              {"POST", address, nil, 405},
		"to delete something":              {"DELETE", address + "about", nil, 405},
	} {
		t.Run(name, func(t *testing.T) {
			response := ask(t, c.method, c.address, c.change) //nolint:bodyclose // The test's end closes it.
			if response.StatusCode != c.want {
				t.Errorf("answered %d, want %d", response.StatusCode, c.want)
			}
			if !strings.Contains(response.Header.Get("Content-Security-Policy"), "default-src 'none'") || response.Header.Get("X-Content-Type-Options") != "nosniff" ||
				response.Header.Get("Referrer-Policy") != "no-referrer" || response.StatusCode != 404 && response.Header.Get("Cache-Control") != "no-store" || response.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("answered with %v", response.Header)
			}
		})
	}
}

func TestTokensDiffer(t *testing.T) {
	a, _ := served(t, still{})
	b, _ := served(t, still{})
	if tokenA, tokenB := path.Base(a), path.Base(b); len(tokenA) < 26 || tokenA == tokenB {
		t.Errorf("tokens %q and %q", tokenA, tokenB)
	}
}

// events reads events of the feed.
func events(t *testing.T, address string) func() Picture {
	t.Helper()
	response := ask(t, "GET", address, nil) //nolint:bodyclose // The test's end closes it.
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("answered %d with %s", response.StatusCode, got)
	}
	lines := bufio.NewReader(response.Body)
	return func() Picture {
		var p Picture
		line, err := lines.ReadString('\n')
		blank, _ := lines.ReadString('\n')
		text, data := strings.CutPrefix(line, "data: ")
		if err != nil || !data || blank != "\n" {
			t.Fatalf("the feed sent %q, %q: %v", line, blank, err)
		}
		var raw struct {
			At   time.Time
			Runs []json.RawMessage
			Run  *struct {
				Track struct {
					Reset bool
					Times []int64
				}
			}
		}
		if err := json.Unmarshal([]byte(text), &raw); err != nil {
			t.Fatal(err)
		}
		p.At, p.Runs = raw.At, make([]Summary, len(raw.Runs))
		if raw.Run != nil {
			p.Run = &Detail{Track: Piece{Reset: raw.Run.Track.Reset, Times: raw.Run.Track.Times}}
		}
		return p
	}
}

// A page that is loaded again shows the curve from its beginning.
func TestTheFeedGoesOn(t *testing.T) {
	address, _ := served(t, still{look(0, moving("a", 1))})
	next := events(t, address+"feed?run=a-uid")
	first := next()
	if first.Run == nil || !first.Run.Track.Reset {
		t.Fatalf("it begins with %+v", first)
	}
	begin := first.Run.Track.Times[0]
	for range 3 {
		if p := next(); p.Run.Track.Reset || len(p.Run.Track.Times) == 0 || p.Run.Track.Times[0] <= begin {
			t.Errorf("it goes on with %+v", p.Run.Track)
		}
	}
	if again := events(t, address+"feed?run=a-uid")(); again.Run.Track.Times[0] != begin || len(again.Run.Track.Times) < 4 {
		t.Errorf("loaded again it has %v, which began at %d", again.Run.Track.Times, begin)
	}
	if list := events(t, address+"feed")(); list.Run != nil || len(list.Runs) != 1 {
		t.Errorf("the list is %+v", list)
	}
	if none := events(t, address+"feed?run=nobody")(); none.Run != nil {
		t.Errorf("a run that nobody knows is %+v", none.Run)
	}
}

// stuck is a source that answers once its context has ended.
type stuck struct{}

func (stuck) Look(ctx context.Context) Look {
	<-ctx.Done()
	return Look{}
}

func TestOpenPagesAndSlowClustersDoNotDelayTheEnd(t *testing.T) {
	address, stop := served(t, stuck{})
	response := ask(t, "GET", address+"about", nil) //nolint:bodyclose // The test's end closes it.
	if _, err := io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", response.Request.URL.Host) // which never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // It is a test's.
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get(address); err == nil { //nolint:bodyclose,noctx // There is no answer.
		t.Error("it still answers")
	}
}

func TestATakenPortIsOneLine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // It is a test's.
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	_, err = Listen(still{}, Options{Port: n})
	want := "listening on port " + port + ": it is taken: choose another with --port, or leave --port out"
	if err == nil || err.Error() != want {
		t.Errorf("the error is %q, want %q", err, want)
	}
}

// Nothing of the page comes from elsewhere, and all that its files name is there.
func TestThePageIsSelfContained(t *testing.T) {
	elsewhere := regexp.MustCompile(`(?:https?:)?//[\w.-]+\.\w+[\w./-]*`)
	named := regexp.MustCompile(`(?:src|href)="([^"#]+)"|from '\./([^']+)'`)
	err := fs.WalkDir(assets, "assets", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(assets, file)
		if err != nil {
			return err
		}
		for _, address := range elsewhere.FindAllString(string(text), -1) {
			if address != "http://www.w3.org/2000/svg" {
				t.Errorf("%s names %s", file, address)
			}
		}
		for _, found := range named.FindAllStringSubmatch(string(text), -1) {
			if _, err := fs.Stat(assets, "assets/"+found[1]+found[2]); err != nil {
				t.Errorf("%s names %s: %v", file, found[1]+found[2], err)
			}
		}
		for _, risky := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style="} {
			if strings.Contains(string(text), risky) {
				t.Errorf("%s has %s", file, risky)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
