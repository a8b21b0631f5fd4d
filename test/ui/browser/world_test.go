package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Keys.
const (
	tab        = kb.Tab
	arrowRight = kb.ArrowRight
	home       = kb.Home
	escape     = kb.Escape
)

// evaluate runs a script in the page.
func evaluate(script string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := chromedp.Evaluate[any]("{ "+script+" }; true")(ctx, tab)
		return err
	})
}

// clickAll clicks on all elements of a selector, focus gives one the focus.
func clickAll(selector string) chromedp.Action[chromedp.Void] {
	return evaluate("document.querySelectorAll(`" + selector + "`).forEach((e) => e.click())")
}

func focus(selector string) chromedp.Action[chromedp.Void] {
	return evaluate("document.querySelector(`" + selector + "`).focus({ focusVisible: true })")
}

// prometheus starts one that scrapes the manager, and returns its address.
func (p place) prometheus(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	must(t, os.WriteFile(config, []byte("scrape_configs:\n- job_name: manager\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  static_configs: [{targets: ['"+p.Metrics+"']}]\n"), 0o600))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	must(t, l.Close())
	start(t, false, filepath.Join(root, "bin", "tools", "prometheus"), "--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address)
	return "http://" + address
}

// explain is the word of `kubectl cargoship explain`.
func (p place) explain(name string) (string, error) {
	out, err := exec.Command(filepath.Join(root, "bin", "cargoship"), "kubectl", "explain", "--kubeconfig", p.Kubeconfig, "-n", p.Namespace, name, "-o", "name").Output()
	return strings.TrimSpace(string(out)), err
}

// windowsOfWorkers sums what each lease grants, by the names of the workers.
func (p place) windowsOfWorkers(t *testing.T) func() string {
	return func() string {
		var list struct{ Items []map[string]any }
		must(t, json.Unmarshal(p.kubectl(t, "", "get", "prefixleases", "-o", "json"), &list))
		var all []string
		for _, lease := range list.Items {
			sum := 0.0
			prefixes, _ := at(lease, "spec", "prefixes").([]any)
			for _, grant := range prefixes {
				window, _ := at(grant, "window").(float64)
				sum += window
			}
			all = append(all, fmt.Sprintf("%v %v", at(lease, "metadata", "name"), sum))
		}
		slices.Sort(all)
		return strings.Join(all, ",")
	}
}
