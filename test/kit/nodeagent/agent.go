package nodeagent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const (
	// defaultName is the name of the node when Options give none.
	defaultName = "local"
	// resync shows every pod to the agent again, so that a failed bind is repeated.
	resync = 2 * time.Second
	// syncInterval is how soon a changed Secret or ConfigMap reaches a process.
	syncInterval = 2 * time.Second
	// retryInterval is the time between attempts at something the API server refused.
	retryInterval = time.Second
)

// Options configure an agent.
type Options struct {
	// Config is access with every right, as a kubelet and a scheduler need together.
	Config *rest.Config
	// Name is the node's name; empty means "local".
	Name string
	// Dir receives a directory for each pod: volumes, logs, kubeconfig. It must exist.
	Dir string
	// Images maps the name of an image to the program that stands for it.
	Images map[string]string
	// Log receives what goes wrong; nil discards it.
	Log *slog.Logger
}

// Agent is a running node.
type Agent struct {
	opts   Options
	client kubernetes.Interface
	log    *slog.Logger

	ctx    context.Context // ends with Stop
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu   sync.Mutex
	pods map[types.UID]*pod
}

// Start registers the node and begins to run pods. The caller stops the agent.
func Start(ctx context.Context, opts Options) (*Agent, error) {
	if opts.Name == "" {
		opts.Name = defaultName
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	client, err := kubernetes.NewForConfig(opts.Config)
	if err != nil {
		return nil, fmt.Errorf("make a client for the node agent: %w", err)
	}
	if err := register(ctx, client, opts.Name); err != nil {
		return nil, err
	}
	a := &Agent{opts: opts, client: client, log: opts.Log, pods: map[types.UID]*pod{}}
	a.ctx, a.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := a.watch(); err != nil {
		a.Stop()
		return nil, err
	}
	return a, nil
}

// Stop kills every container and waits until all have ended. What the API says of
// the pods stays as it is.
func (a *Agent) Stop() {
	a.cancel()
	a.work.Wait()
}

// PID is the process id of a running container, for tests that kill it.
func (a *Agent) PID(namespace, name, container string) (int, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.pods {
		if p.object.Namespace == namespace && p.object.Name == name {
			return p.pid(container)
		}
	}
	return 0, false
}

// LogPath is the file that holds the output of a container of a pod, by the pod's
// namespace, name and UID.
func (a *Agent) LogPath(object *corev1.Pod, container string) string {
	return filepath.Join(a.podDir(object), container+".log")
}

func (a *Agent) podDir(object *corev1.Pod) string {
	return filepath.Join(a.opts.Dir, fmt.Sprintf("%s_%s_%s", object.Namespace, object.Name, object.UID))
}

// watch starts an informer on all pods; there is no other node.
func (a *Agent) watch() error {
	factory := informers.NewSharedInformerFactory(a.client, resync)
	informer := factory.Core().V1().Pods().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { a.observe(object) },
		UpdateFunc: func(_, object any) { a.observe(object) },
		DeleteFunc: func(object any) { a.forget(object) },
	})
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	a.work.Go(func() {
		factory.Start(a.ctx.Done())
		<-a.ctx.Done()
		factory.Shutdown()
	})
	return nil
}

// observe takes in one state of a pod: binds it, starts it, or begins to end it.
func (a *Agent) observe(object any) {
	latest, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	switch latest.Spec.NodeName {
	case "":
		if len(latest.Spec.SchedulingGates) == 0 && latest.DeletionTimestamp == nil {
			a.bind(latest)
		}
	case a.opts.Name:
		p := a.podFor(latest)
		if latest.DeletionTimestamp != nil {
			p.requestStop(latest.DeletionGracePeriodSeconds)
		}
	}
}

// podFor returns what runs a pod and starts it when the pod is new.
func (a *Agent) podFor(object *corev1.Pod) *pod {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p, ok := a.pods[object.UID]; ok {
		return p
	}
	p := newPod(a, object.DeepCopy())
	a.pods[object.UID] = p
	a.work.Go(func() { p.run(a.ctx) })
	return p
}

// forget kills what is left of a pod whose object is gone.
func (a *Agent) forget(object any) {
	if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	latest, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if p, ok := a.pods[latest.UID]; ok {
		p.abandon()
		delete(a.pods, latest.UID)
	}
}

// bind does the scheduler's part. A refused bind is repeated at the next resync.
func (a *Agent) bind(object *corev1.Pod) {
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: object.Name, Namespace: object.Namespace, UID: object.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: a.opts.Name},
	}
	err := a.client.CoreV1().Pods(object.Namespace).Bind(a.ctx, binding, metav1.CreateOptions{})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) && a.ctx.Err() == nil {
		a.log.Warn("cannot bind pod", "pod", object.Name, "namespace", object.Namespace, "error", err)
	}
}

// register makes the Node object, ready and without the taint that admission adds
// to new nodes.
func register(ctx context.Context, client kubernetes.Interface, name string) error {
	node := describe(name)
	nodes := client.CoreV1().Nodes()
	made, err := nodes.Create(ctx, node, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		made, err = nodes.Get(ctx, name, metav1.GetOptions{})
	}
	if err != nil {
		return fmt.Errorf("register the node %s: %w", name, err)
	}
	made.Spec.Taints = nil
	made, err = nodes.Update(ctx, made, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("remove the taints of the node %s: %w", name, err)
	}
	made.Status = node.Status
	if _, err := nodes.UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("report the status of the node %s: %w", name, err)
	}
	return nil
}

// clean removes the files of a pod except its logs.
func (a *Agent) clean(object *corev1.Pod) {
	for _, part := range []string{volumesDir, homeDir, kubeconfigFile} {
		if err := os.RemoveAll(filepath.Join(a.podDir(object), part)); err != nil {
			a.log.Warn("cannot remove files of a pod", "pod", object.Name, "error", err)
		}
	}
}
