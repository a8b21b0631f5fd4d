package browser

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var picture = flag.String("picture", "", "file to write the screenshot to")

// mostPicture bounds the size of the screenshot, in bytes.
const mostPicture = 300_000

const name = "photos-2026"

// story is one transfer, watched from its beginning to its end.
type story struct {
	place
	*page
	address string
}

// TestPage watches a transfer. What comes later needs what came before.
func TestPage(t *testing.T) {
	p := enter(t)
	address, command := p.serve(t, "--prometheus", p.prometheus(t))
	s := &story{place: p, page: browse(t, 1440, 1000), address: address}
	s.open(t, address)
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"an empty list says so", s.empty},
		{"the list has the figures of the API", s.list},
		{"the screen of a run has the figures of the API", s.run},
		{"every curve has a table and ends with the figure", s.curves},
		{"curves split by prefix and worker, by the keyboard", s.split},
		{"the keyboard reaches everything", s.keyboard},
		{"the page can be read", s.readable},
		{"a page that is loaded again shows the curve", s.reload},
		{"text is text, and what is deleted is gone", s.hostile},
		{"the screenshot", s.picture},
		{"a transfer that ends", s.end},
		{"a restore", s.restore},
		{"the past, from Prometheus", s.past},
		{"missing rights are named", s.rights},
		{"no errors, no requests to elsewhere", s.clean},
	} {
		if !t.Run(step.name, step.do) {
			t.Fatal("the rest needs that")
		}
	}
	t.Run("the command ends with a page open", func(t *testing.T) {
		t.Logf("it ended %v after SIGTERM", command.stop().Round(time.Millisecond))
		if code := command.ProcessState.ExitCode(); code != 0 {
			t.Errorf("exit code %d: %s", code, command.log)
		}
		s.wait(t, `!document.querySelector('#lost').hidden`)
	})
}

func (s *story) empty(t *testing.T) {
	s.wait(t, `document.body.innerText.includes('There are no transfers here')`)
	s.transfer(t, name)
	s.wait(t, row(name))
}

// row is the row of a run in the list, cell one of its figures.
func row(name string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('main tbody tr')].find((r) => r.querySelector('a')?.textContent === %q)`, name)
}

func cell(figure string) string {
	return row(name) + `.querySelector('[data-figure=` + figure + `]').textContent`
}

// same waits until texts of the page are those of the API, three times with different values
// where these change: figures of both move while they are read.
func (s *story) same(t *testing.T, times int, onPage string, inAPI func() string) {
	t.Helper()
	seen, last := map[string]bool{}, ""
	for end := time.Now().Add(patience); len(seen) < times; {
		before := inAPI()
		last = value[string](t, s.page, onPage)
		if strings.Contains(last, "undefined") {
			t.Fatalf("the page lacks one of them: %s", last)
		}
		if last == before || last == inAPI() {
			seen[last] = true
		}
		if time.Now().After(end) {
			t.Fatalf("the page shows %q, the API has %q; they were the same for %d of %d values", last, before, len(seen), times)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (s *story) list(t *testing.T) {
	s.wait(t, cell("window")+` !== '-'`)
	s.same(t, 3, "["+cell("throughput")+","+cell("window")+"].join()", func() string {
		o := s.get(t, "archivetransfer", name)
		return fmt.Sprintf("%v,%v", at(o, "status", "progress", "throughput"), at(o, "status", "coordination", "window"))
	})
	s.wait(t, `document.body.innerText.includes('127.0.0.1') && [...document.querySelectorAll('h2')].some((h) => h.textContent === 'Destinations')`)
}

func figure(id string) string {
	return `document.querySelector('dd[data-figure=` + id + `]').textContent`
}

func (s *story) run(t *testing.T) {
	s.follow(t, name)
	s.wait(t, `document.querySelector('h1')?.textContent === '`+name+`'`)
	s.wait(t, `document.activeElement === document.querySelector('h1')`)
	s.same(t, 3, "["+figure("throughput")+","+figure("window")+","+figure("workers")+","+figure("done")+"].join()", func() string {
		o := s.get(t, "archivetransfer", name)
		files := at(o, "status", "progress", "done", "files")
		if files == nil {
			files = 0
		}
		return fmt.Sprintf("%v,%v,%v/%v,%v", at(o, "status", "progress", "throughput"), at(o, "status", "coordination", "window"),
			at(o, "status", "workers", "leased"), at(o, "status", "workers", "desired"), files)
	})
	s.same(t, 2, `[...document.querySelectorAll('section[data-key=prefixes] tbody tr')].map((r) => r.dataset.key + r.querySelector('[data-figure=window]').textContent).join()`, func() string {
		var all []string
		prefixes, _ := at(s.get(t, "archivetransfer", name), "status", "prefixes").([]any)
		for _, p := range prefixes {
			all = append(all, fmt.Sprint(at(p, "name"), at(p, "window")))
		}
		return strings.Join(all, ",")
	})
	s.same(t, 2, `[...document.querySelectorAll('section[data-key=workers] tbody tr')].map((r) => r.dataset.key + ' ' + r.querySelector('[data-figure=window]').textContent).join()`, s.windowsOfWorkers(t))
	s.same(t, 1, `document.querySelector('.answer [data-figure=limitedBy]').textContent`, func() string {
		out, err := s.explain(name)
		must(t, err)
		return out
	})
}

func (s *story) curves(t *testing.T) {
	s.wait(t, `document.querySelectorAll('.chart').length === 6 && document.querySelector('[data-chart=throughput]').getAttribute('aria-valuemax') > 4`)
	for _, metric := range []string{"throughput", "window", "rate", "throttled"} {
		// Both are of one picture, so they are the same at any time.
		if text := value[string](t, s.page, fmt.Sprintf(`(() => {
			const now = document.querySelector('.now[data-metric=%[1]s]').textContent;
			const figure = document.querySelector('dd[data-figure=%[1]s]').textContent;
			return now === figure ? '' : now + ' and ' + figure;
		})()`, metric)); text != "" {
			t.Errorf("the chart and the figure of %s say %s", metric, text)
		}
	}
	s.do(t, clickAll(`.numbers summary`))
	s.wait(t, `[...document.querySelectorAll('.numbers')].every((d) => d.open && d.querySelectorAll('tbody tr').length > 3)`)
	time.Sleep(3 * time.Second) // An update leaves open what was opened.
	if n := value[int](t, s.page, `document.querySelectorAll('.numbers[open]').length`); n != 6 {
		t.Errorf("%d of 6 tables are still open", n)
	}
	s.do(t, clickAll(`.numbers summary`))
}

func (s *story) split(t *testing.T) {
	s.do(t, focus(`input[name=scope]:checked`))
	s.press(t, arrowRight)
	s.wait(t, `document.querySelector('input[value=prefix]').checked`)
	s.wait(t, `document.querySelectorAll('[data-key=window] .legend .name').length === 4`)
	if names := value[string](t, s.page, `[...document.querySelectorAll('[data-key=window] .legend .name')].map((n) => n.textContent).join()`); names != "alps,coast,forest,harbor" {
		t.Errorf("curves are of %s", names)
	}
	s.press(t, arrowRight)
	s.wait(t, `document.querySelector('input[value=worker]').checked && document.querySelectorAll('[data-key=throughput] .legend .name').length === 3`)
	s.press(t, arrowRight)
	s.wait(t, `document.querySelector('input[value=whole]').checked`)
}

func (s *story) reload(t *testing.T) {
	begin := value[string](t, s.page, `document.querySelector('[data-chart=window]').dataset.begin`)
	s.open(t, "about:blank")

	s.open(t, s.address)
	s.wait(t, row(name))
	s.follow(t, name)
	s.wait(t, `document.querySelector('[data-chart=window]')`)
	if again := value[string](t, s.page, `document.querySelector('[data-chart=window]').dataset.begin`); again != begin {
		t.Errorf("the curve began at %s, and at %s once loaded again", begin, again)
	}
}

func (s *story) hostile(t *testing.T) {
	const path = `<img src=x onerror=document.title='owned'><b>`
	s.kubectl(t, strings.Join([]string{"apiVersion: transfer.cargoship.dev/v1alpha1", "kind: ArchiveTransfer", "metadata: {name: hostile}", "spec:",
		`  source: {persistentVolumeClaim: {claimName: missing}, path: "` + path + `"}`,
		"  destination: {bucket: hostile, region: us-east-1, credentials: {secretName: none}}"}, "\n"), "apply", "-f", "-")
	s.do(t, clickAll(`nav a`))
	s.wait(t, row("hostile"))
	s.follow(t, "hostile")
	s.wait(t, `document.querySelector('.route')?.textContent.includes("`+path+`")`)
	if n := value[int](t, s.page, `document.querySelectorAll('main img, main b, main script').length`); n != 0 {
		t.Errorf("the path became %d elements", n)
	}
	s.kubectl(t, "", "delete", "archivetransfer", "hostile", "--wait=true")
	s.wait(t, `document.querySelector('.pill').textContent === 'gone'`)
	s.wait(t, `document.querySelector('.route').textContent.includes('missing')`)
	s.do(t, clickAll(`nav a`))
	s.wait(t, row("hostile")+`?.querySelector('.pill').textContent === 'gone'`)
	s.follow(t, name)
	s.wait(t, `document.querySelector('[data-chart=window]')`)
}

func (s *story) picture(t *testing.T) {
	s.wait(t, `parseInt(document.querySelector('.head .progress strong').textContent) >= 50`)
	s.do(t, clickAll(`h1`)) // Nothing has the focus.
	file := *picture
	if file == "" {
		file = filepath.Join(t.TempDir(), "ui.png")
	}
	s.page.picture(t, file)
	info, err := os.Stat(file)
	must(t, err)
	if info.Size() > mostPicture {
		t.Errorf("it has %d bytes", info.Size())
	}
	t.Logf("%s has %d bytes", file, info.Size())
}

func (s *story) end(t *testing.T) {
	s.kubectl(t, "", "wait", "--for=condition=Complete", "archivetransfer/"+name, "--timeout=5m")
	s.wait(t, `document.querySelector('.pill').textContent === 'Complete'`)
	s.same(t, 1, figure("done")+` + ' ' + `+figure("throughput"), func() string {
		o := s.get(t, "archivetransfer", name)
		return fmt.Sprintf("%v %v", at(o, "status", "progress", "done", "files"), at(o, "status", "progress", "throughput"))
	})
	if !value[bool](t, s.page, `document.querySelector('[data-chart=window]').getAttribute('aria-valuemax') > 10`) {
		t.Error("its curves are gone")
	}
}

func (s *story) restore(t *testing.T) {
	s.kubectl(t, fmt.Sprintf(`
apiVersion: transfer.cargoship.dev/v1alpha1
kind: ArchiveRestore
metadata: {name: back}
spec:
  from: {transferRef: {name: %s}}
  to: {persistentVolumeClaim: {claimName: %s}}
`, name, s.Target), "apply", "-f", "-")
	s.do(t, clickAll(`nav a`))
	s.wait(t, row("restore/back"))
	s.wait(t, row("restore/back")+`.querySelector('[data-figure=window]').textContent !== '-'`)
}

func (s *story) past(t *testing.T) {
	s.open(t, "about:blank")
	s.open(t, s.address)

	s.wait(t, `[...document.querySelectorAll('section[data-key=past] tbody a')].some((a) => a.textContent === '`+name+`')`)
	s.do(t, clickAll(`section[data-key=past] tbody a`))

	s.wait(t, `document.querySelector('.pill')?.textContent === 'past' && document.querySelectorAll('.plot').length >= 4`)
	s.wait(t, `document.querySelector('[data-chart=window]').getAttribute('aria-valuemax') > 4`)
}

// rights are those of somebody who may view the namespace, and nothing else.
func (s *story) rights(t *testing.T) {
	for _, role := range []string{"cargoship-archivetransfer-viewer", "system:aggregate-to-view"} {
		s.kubectl(t, "", "create", "rolebinding", strings.ReplaceAll(role, ":", "-"), "--clusterrole="+role, "--user=viewer")
	}
	address, _ := s.serve(t, "--as=viewer")
	s.open(t, address)
	s.wait(t, row(name))
	s.wait(t, `document.querySelector('.problems li')`)
	if text := value[string](t, s.page, `[...document.querySelectorAll('.problems li')].map((p) => p.textContent).join('\n')`); !strings.Contains(text, "ask for the verb list on destinationprofiles.transfer.cargoship.dev") || strings.Contains(text, "\n") {
		t.Errorf("it says:\n%s", text)
	}
	s.open(t, s.address)
	s.wait(t, row(name))
}

func (s *story) clean(t *testing.T) {
	requests, problems := s.noted()
	if len(problems) > 0 {
		t.Errorf("the console has:\n%s", strings.Join(problems, "\n"))
	}
	for _, address := range requests {
		u, err := url.Parse(address)
		must(t, err)
		if !slices.Contains([]string{"127.0.0.1", ""}, u.Hostname()) || u.Scheme != "http" && address != "about:blank" {
			t.Errorf("the page asks for %s", address)
		}
	}
}
