package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// gatewayAPI is the module whose CRDs are installed: the first minor version with v1 of TCPRoute.
const gatewayAPI = "sigs.k8s.io/gateway-api@v1.6.3"

var gatewayVersion = schema.GroupVersion{Group: "gateway.networking.k8s.io", Version: "v1"}

// installGatewayAPI installs those kinds of the standard channel that the operator and the gateway use.
func installGatewayAPI(t *testing.T) {
	t.Helper()
	var files []string
	for _, kind := range []string{"gateways", "listenersets", "tlsroutes", "tcproutes"} {
		files = append(files, gatewayVersion.Group+"_"+kind+".yaml")
	}
	installDefinitions(t, ".", gatewayAPI, filepath.Join("config", "crd", "standard"), files)
}

// installDefinitions installs CRDs that a Go module brings along until the case ends. The module has a version, or the one
// that the module in a folder of the repository requires.
func installDefinitions(t *testing.T, in, of, folder string, files []string) {
	t.Helper()
	out, err := run(t.Context(), nil, "go", "-C", in, "mod", "download", "-json", of)
	if err != nil {
		t.Fatal(err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal([]byte(out), &module); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(module.Dir, folder, file))
		if err != nil {
			t.Fatal(err)
		}
		crd := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(content, &crd.Object); err != nil {
			t.Fatal(err)
		}
		err = kube.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(crd), client.FieldOwner("e2e"), client.ForceOwnership)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), pace.Of(time.Minute))
			defer cancel()
			if err := client.IgnoreNotFound(kube.Delete(ctx, crd)); err != nil {
				t.Error(err)
			} else if err := waitGone(ctx, crd); err != nil { // or the next case's would go with it
				t.Error(err)
			}
		})
	}
}

// The fields of the Gateway API that the gateway minds.
type (
	parentRef struct {
		Group       string `json:"group"`
		Kind        string `json:"kind"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
		SectionName string `json:"sectionName,omitempty"`
		Port        int32  `json:"port,omitempty"`
	}
	routeObject struct {
		Spec struct {
			ParentRefs []parentRef `json:"parentRefs"`
			Hostnames  []string    `json:"hostnames"`
			Rules      []struct {
				BackendRefs []struct {
					Name string `json:"name"`
					Port int32  `json:"port"`
				} `json:"backendRefs"`
			} `json:"rules"`
		} `json:"spec"`
	}
	gatewayListener struct {
		Name          string `json:"name"`
		Port          int32  `json:"port"`
		Protocol      string `json:"protocol"`
		AllowedRoutes struct {
			Namespaces struct {
				From string `json:"from"`
			} `json:"namespaces"`
		} `json:"allowedRoutes"`
	}
	gatewayObject struct {
		Spec struct {
			Listeners []gatewayListener `json:"listeners"`
		} `json:"spec"`
	}
)

// hostGateway is a gateway on this machine, outside of the Kubernetes cluster. It reads one Gateway and all TLSRoutes and
// TCPRoutes, says in their status what it makes of them, and passes connections on: by the name in the handshake or by the
// port that they came to. It terminates nothing.
type hostGateway struct {
	key     client.ObjectKey
	address string

	mu        sync.Mutex
	backends  map[string]string // "port" or "port/name" to namespace/service:port
	listeners map[int32]net.Listener
	failed    error
}

// startGateway serves a Gateway until the test ends.
func startGateway(t *testing.T, key client.ObjectKey) *hostGateway {
	t.Helper()
	g := &hostGateway{key: key, address: addressOutside(t), listeners: map[int32]net.Listener{}}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			if err := g.look(ctx); err != nil && ctx.Err() == nil {
				g.mu.Lock()
				g.failed = err
				g.mu.Unlock()
			}
			select {
			case <-ctx.Done():
			case <-time.After(pollInterval):
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		done.Wait()
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, l := range g.listeners {
			_ = l.Close()
		}
		if t.Failed() && g.failed != nil {
			t.Logf("the gateway failed last with: %v", g.failed)
		}
	})
	return g
}

// addressOutside is an address of this machine that clients and brokers have a way to.
func addressOutside(t *testing.T) string {
	t.Helper()
	service := &corev1.Service{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "kubernetes"}, service); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", net.JoinHostPort(service.Spec.ClusterIP, "443")) // sends nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	return host
}

// look reads what there is, and brings listeners and status in line with it.
func (g *hostGateway) look(ctx context.Context) error {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(gatewayVersion.WithKind("Gateway"))
	if err := kube.Get(ctx, g.key, object); err != nil {
		return client.IgnoreNotFound(err)
	}
	var gateway gatewayObject
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &gateway); err != nil {
		return err
	}
	errs := []error{setStatus(ctx, object, map[string]any{
		"addresses": []any{map[string]any{"type": "IPAddress", "value": g.address}}})}
	backends := map[string]string{}
	for _, kind := range []string{"TLSRoute", "TCPRoute"} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(gatewayVersion.WithKind(kind + "List"))
		if err := kube.List(ctx, list); err != nil {
			return err
		}
		for i := range list.Items {
			errs = append(errs, g.take(ctx, &list.Items[i], gateway.Spec.Listeners, backends))
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.backends = backends
	for _, l := range gateway.Spec.Listeners {
		if g.listeners[l.Port] != nil {
			continue
		}
		listening, err := net.Listen("tcp", fmt.Sprintf("%s:%d", g.address, l.Port))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		g.listeners[l.Port] = listening
		go g.serve(listening, l)
	}
	return errors.Join(errs...)
}

// take attaches a route to the listeners that suit it, or says why not.
func (g *hostGateway) take(ctx context.Context, object *unstructured.Unstructured, listeners []gatewayListener,
	backends map[string]string) error {
	var route routeObject
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &route); err != nil {
		return err
	}
	var parents []any
	for _, parent := range route.Spec.ParentRefs {
		if parent.Kind != "Gateway" || parent.Name != g.key.Name || parent.Namespace != g.key.Namespace {
			continue
		}
		status, reason, message := "False", "NoMatchingParent", "no listener of this Gateway suits the route"
		for _, l := range listeners {
			if l.Protocol != strings.TrimSuffix(object.GetKind(), "Route") || parent.Port != 0 && parent.Port != l.Port ||
				parent.SectionName != "" && parent.SectionName != l.Name {
				continue
			}
			if l.AllowedRoutes.Namespaces.From != "All" && object.GetNamespace() != g.key.Namespace {
				reason, message = "NotAllowedByListeners", "routes of namespace "+object.GetNamespace()+" may not attach here"
				continue
			}
			status, reason, message = "True", "Accepted", ""
			to := route.Spec.Rules[0].BackendRefs[0]
			backend := fmt.Sprintf("%s/%s:%d", object.GetNamespace(), to.Name, to.Port)
			if object.GetKind() == "TCPRoute" {
				backends[fmt.Sprint(l.Port)] = backend
			}
			for _, name := range route.Spec.Hostnames {
				backends[fmt.Sprintf("%d/%s", l.Port, name)] = backend
			}
		}
		ref, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&parent)
		if err != nil {
			return err
		}
		parents = append(parents, map[string]any{"parentRef": ref, "controllerName": "castellan.test/gateway",
			"conditions": []any{map[string]any{"type": "Accepted", "status": status, "reason": reason, "message": message,
				"observedGeneration": object.GetGeneration(), "lastTransitionTime": "2026-01-01T00:00:00Z"}}})
	}
	if len(parents) == 0 {
		return nil
	}
	return setStatus(ctx, object, map[string]any{"parents": parents})
}

// setStatus writes what differs.
func setStatus(ctx context.Context, object *unstructured.Unstructured, fields map[string]any) error {
	before := object.DeepCopy()
	for field, value := range fields {
		if err := unstructured.SetNestedField(object.Object, value, "status", field); err != nil {
			return err
		}
	}
	was, _ := json.Marshal(before.Object["status"])
	is, _ := json.Marshal(object.Object["status"])
	if bytes.Equal(was, is) {
		return nil
	}
	return client.IgnoreNotFound(kube.Status().Patch(ctx, object, client.MergeFrom(before)))
}

func (g *hostGateway) serve(listening net.Listener, l gatewayListener) {
	for {
		conn, err := listening.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = conn.Close() }()
			if err := g.pass(conn, l); err != nil {
				g.mu.Lock()
				defer g.mu.Unlock()
				g.failed = err
			}
		}()
	}
}

// pass leads one connection to its Service.
func (g *hostGateway) pass(conn net.Conn, l gatewayListener) error {
	place, said := fmt.Sprint(l.Port), []byte(nil)
	if l.Protocol == "TLS" {
		name, hello, err := nameInHandshake(conn)
		if err != nil {
			return err
		}
		place, said = place+"/"+name, hello
	}
	g.mu.Lock()
	backend, known := g.backends[place]
	g.mu.Unlock()
	if !known {
		return fmt.Errorf("nothing leads on from %s", place)
	}
	namespace, rest, _ := strings.Cut(backend, "/")
	name, port, _ := strings.Cut(rest, ":")
	service := &corev1.Service{}
	if err := kube.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, service); err != nil {
		return err
	}
	to, err := net.Dial("tcp", net.JoinHostPort(service.Spec.ClusterIP, port))
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	if _, err := to.Write(said); err != nil {
		return err
	}
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{to, conn}, {conn, to}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			ended <- struct{}{}
		}()
	}
	<-ended
	return nil
}

// overheard keeps what is read of a connection, and writes nothing to it.
type overheard struct {
	net.Conn
	heard *bytes.Buffer
}

func (o overheard) Read(p []byte) (int, error) {
	n, err := o.Conn.Read(p)
	o.heard.Write(p[:n])
	return n, err
}

func (overheard) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// nameInHandshake reads the name that a client asks for, and returns all that it has said.
func nameInHandshake(conn net.Conn) (name string, said []byte, err error) {
	o := overheard{conn, &bytes.Buffer{}}
	errRead := errors.New("read")
	err = tls.Server(o, &tls.Config{MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			name = hello.ServerName
			return nil, errRead
		}}).Handshake()
	if !errors.Is(err, errRead) {
		return "", nil, err
	}
	return name, o.heard.Bytes(), nil
}

// via is where a client finds the gateway under the names that it serves.
func (g *hostGateway) via(names ...string) func(address string) string {
	return func(address string) string {
		host, port, err := net.SplitHostPort(address)
		if err != nil || !slices.Contains(names, host) {
			return address
		}
		return net.JoinHostPort(g.address, port)
	}
}
