package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"cargoship.dev/operator/test/kit/process"
)

const (
	// scrapeInterval is shorter than in production, for figures of short runs.
	scrapeInterval = 2 * time.Second
	tokenLife      = 6 * time.Hour
	// stopTime is what Prometheus may take to end.
	stopTime = 10 * time.Second
)

// prometheus is a server that scrapes the managers.
type prometheus struct {
	child   *process.Process
	address string
}

// reader lets the benchmark's own account read the managers' metrics.
func reader() *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace + "-metrics"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cargoship-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "default"}},
	}
}

// watch starts Prometheus on the managers.
func (r *rig) watch(ctx context.Context) (*prometheus, error) {
	if err := r.Client.Create(ctx, reader()); err != nil {
		return nil, fmt.Errorf("let Prometheus read the metrics: %w", err)
	}
	token, err := r.token(ctx)
	if err != nil {
		return nil, err
	}
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.InNamespace(system),
		client.MatchingLabels{"app.kubernetes.io/name": "cargoship", "app.kubernetes.io/component": "manager"}); err != nil {
		return nil, fmt.Errorf("list the managers: %w", err)
	}
	var targets []string
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp == nil && pod.Status.PodIP != "" {
			targets = append(targets, pod.Status.PodIP+":8443")
		}
	}
	config, err := yaml.Marshal(map[string]any{
		"global": map[string]any{"scrape_interval": scrapeInterval.String()},
		"scrape_configs": []any{map[string]any{
			"job_name": "cargoship", "scheme": "https", "tls_config": map[string]any{"insecure_skip_verify": true},
			"authorization":  map[string]any{"credentials": token},
			"static_configs": []any{map[string]any{"targets": targets}},
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("write the configuration of Prometheus: %w", err)
	}
	return r.startPrometheus(config)
}

// token makes a token of the benchmark's account.
func (r *rig) token(ctx context.Context) (string, error) {
	clients, err := kubernetes.NewForConfig(r.config)
	if err != nil {
		return "", fmt.Errorf("make a client: %w", err)
	}
	var token *authenticationv1.TokenRequest
	// The account is there a moment after its namespace.
	err = r.await(ctx, "a token to read the metrics", func() (bool, error) {
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(int64(tokenLife.Seconds()))}}
		token, err = clients.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, "default", request, metav1.CreateOptions{})
		return err == nil, err
	})
	if err != nil {
		return "", err
	}
	return token.Status.Token, nil
}

func (r *rig) startPrometheus(config []byte) (*prometheus, error) {
	file := filepath.Join(r.scratch, "prometheus.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, fmt.Errorf("write the configuration of Prometheus: %w", err)
	}
	log, err := os.Create(filepath.Join(r.scratch, "prometheus.log"))
	if err != nil {
		return nil, fmt.Errorf("create the log of Prometheus: %w", err)
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	p := &prometheus{address: r.at(prometheusPort)}
	cmd := exec.Command(filepath.Join(r.root, "bin", "tools", "prometheus"), "--config.file="+file,
		"--storage.tsdb.path="+filepath.Join(r.scratch, "prometheus"), "--web.listen-address="+p.address)
	cmd.Stdout, cmd.Stderr = log, log
	p.child, err = process.Start(cmd)
	return p, err
}

func (p *prometheus) stop() error { return p.child.Stop(stopTime) }

// series is one line of an answer.
type series struct {
	labels map[string]string
	points []point
}

type point struct {
	at    time.Time
	value float64
}

// queryRange asks for the values of an expression over a span.
func (p *prometheus) queryRange(ctx context.Context, expression string, over span) ([]series, error) {
	query := url.Values{
		"query": {expression}, "step": {strconv.FormatFloat(scrapeInterval.Seconds(), 'f', -1, 64)},
		"start": {unix(over.from)}, "end": {unix(over.to)},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.address+"/api/v1/query_range", strings.NewReader(query.Encode()))
	if err != nil {
		return nil, fmt.Errorf("ask Prometheus: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask Prometheus: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // It was read.
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("ask Prometheus for %s: %w", expression, err)
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("ask Prometheus for %s: %s", expression, answer.Error)
	}
	var all []series
	for _, one := range answer.Data.Result {
		s := series{labels: one.Metric}
		for _, pair := range one.Values {
			seconds, _ := pair[0].(float64)
			text, _ := pair[1].(string)
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, fmt.Errorf("read what Prometheus says of %s: %w", expression, err)
			}
			s.points = append(s.points, point{time.UnixMilli(int64(1e3 * seconds)), value})
		}
		all = append(all, s)
	}
	return all, nil
}

func unix(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1e3, 'f', 3, 64) }
