package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// root is the repository, whose programs `make test-ui` has built.
const root = "../../.."

// patience bounds each thing that is waited for.
const patience = 3 * time.Minute

// place is where the product runs, as bin/uistage tells it.
type place struct {
	Kubeconfig, Kubectl, Namespace, Bucket, Endpoint, Region, Secret, Claim, Target, Metrics string
}

// child is a program that a test has started.
type child struct {
	*exec.Cmd
	lines *bufio.Reader
	log   *bytes.Buffer
}

// start runs a program until the test ends, and kills it if it does not end by a signal then.
func start(t *testing.T, stdin bool, name string, args ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(name, args...), log: &bytes.Buffer{}}
	c.Stderr = c.log
	out, err := c.StdoutPipe()
	must(t, err)
	c.lines = bufio.NewReader(out)
	if stdin {
		_, err := c.StdinPipe()
		must(t, err)
	}
	must(t, c.Start())
	t.Cleanup(func() { _ = c.stop() })
	return c
}

// stop ends it by SIGTERM and returns how long that took.
func (c *child) stop() time.Duration {
	begin := time.Now()
	if c.ProcessState != nil {
		return 0
	}
	_ = c.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(2*time.Minute, func() { _ = c.Process.Kill() })
	defer kill.Stop()
	_ = c.Wait()
	return time.Since(begin)
}

// line is the next line that it prints.
func (c *child) line(t *testing.T) string {
	t.Helper()
	line, err := c.lines.ReadString('\n')
	if err != nil {
		_ = c.stop()
		t.Fatalf("%s ended before it had printed a line: %v\n%s", c.Path, err, c.log)
	}
	return strings.TrimSpace(line)
}

// enter starts the product and waits until it can be used.
func enter(t *testing.T) place {
	t.Helper()
	stage := start(t, true, filepath.Join(root, "bin", "uistage"))
	var p place
	must(t, json.Unmarshal([]byte(stage.line(t)), &p))
	return p
}

// serve starts `kubectl cargoship ui` and returns the address that it prints.
func (p place) serve(t *testing.T, args ...string) (string, *child) {
	t.Helper()
	all := append([]string{"kubectl", "ui", "--kubeconfig", p.Kubeconfig, "-n", p.Namespace}, args...)
	c := start(t, false, filepath.Join(root, "bin", "cargoship"), all...)
	return c.line(t), c
}

// kubectl runs kubectl as the administrator.
func (p place) kubectl(t *testing.T, stdin string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(p.Kubectl, append([]string{"--kubeconfig", p.Kubeconfig, "-n", p.Namespace}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, failed.Stderr)
	}
	must(t, err)
	return out
}

// get reads an object.
func (p place) get(t *testing.T, kind, name string) map[string]any {
	t.Helper()
	var o map[string]any
	must(t, json.Unmarshal(p.kubectl(t, "", "get", kind, name, "-o", "json"), &o))
	return o
}

// at follows names into an object; nil where there is nothing.
func at(o any, path ...string) any {
	for _, name := range path {
		m, _ := o.(map[string]any)
		o = m[name]
	}
	return o
}

// transfer begins one.
func (p place) transfer(t *testing.T, name string) {
	t.Helper()
	p.kubectl(t, fmt.Sprintf(`
apiVersion: transfer.cargoship.dev/v1alpha1
kind: ArchiveTransfer
metadata: {name: %s}
spec:
  source: {persistentVolumeClaim: {claimName: %s}}
  destination:
    bucket: %s
    prefix: photos
    region: %s
    endpoint: %s
    addressingStyle: Path
    credentials: {secretName: %s}
  workers: {count: 3}
`, name, p.Claim, p.Bucket, p.Region, p.Endpoint, p.Secret), "apply", "-f", "-")
}

// page is a tab of the browser, with what it has done.
type page struct {
	context.Context

	mu       sync.Mutex
	requests []string // of addresses
	errors   []string // of the console
}

// browse opens a browser with a window of that size, in light colors.
func browse(t *testing.T, width, height int64) *page {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.NoSandbox, chromedp.Flag("hide-scrollbars", true))
	allocator, end := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(end)
	p := &page{}
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithListener(p.note))
	t.Cleanup(cancel)
	p.Context = ctx
	must(t, chromedp.Do(ctx)) // The tab lasts as long as the context of its first action.
	p.size(t, width, height)
	p.colors(t, "light")
	return p
}

// note keeps what tests ask for later.
func (p *page) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		p.errors = append(p.errors, fmt.Sprint(e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			p.errors = append(p.errors, fmt.Sprint(e.Args))
		}
	case *log.EventEntryAdded:
		p.errors = append(p.errors, e.Entry.Text+" "+e.Entry.URL)
	}
}

// noted are the addresses that it has asked for, and the errors of its console.
func (p *page) noted() (requests, problems []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests), slices.Clone(p.errors)
}

// do lets the page do something.
func (p *page) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// size gives the window another size, colors another scheme of colors: light or dark.
func (p *page) size(t *testing.T, width, height int64) {
	t.Helper()
	p.do(t, chromedp.EmulateViewport(width, height))
}

func (p *page) colors(t *testing.T, scheme string) {
	t.Helper()
	p.do(t, chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}))
}

// value is that of an expression in the page.
func value[T any](t *testing.T, p *page, expression string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(p, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// wait waits until an expression is true in the page.
func (p *page) wait(t *testing.T, expression string) {
	t.Helper()
	for end := time.Now().Add(patience); !value[bool](t, p, "Boolean("+expression+")"); {
		if time.Now().After(end) {
			_, problems := p.noted()
			t.Fatalf("%s does not become true; the page shows:\n%s\n%s", expression, value[string](t, p, "document.body.innerText"), strings.Join(problems, "\n"))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// picture writes what the window shows.
func (p *page) picture(t *testing.T, file string) {
	t.Helper()
	png, err := chromedp.Run(p, chromedp.CaptureScreenshot())
	must(t, err)
	must(t, os.WriteFile(file, png, 0o644))
}

// open goes to an address.
func (p *page) open(t *testing.T, address string) {
	t.Helper()
	p.do(t, chromedp.Navigate(address))
}

// follow clicks on the link with a text.
func (p *page) follow(t *testing.T, text string) {
	t.Helper()
	p.do(t, chromedp.Click(chromedp.Search(`//a[normalize-space()="`+text+`"]`)))
}

// press presses a key.
func (p *page) press(t *testing.T, key string) {
	t.Helper()
	p.do(t, chromedp.KeyEvent(key))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
