//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/test/apiserver"
	"github.com/castellan-dev/castellan/test/bench"
)

// The servers that run beside each other; one is idle while another is measured.
const (
	usual  = "" // JSON, and an etcd without fsync, as in all benchmarks
	onDisk = "fsync"
	inCBOR = "CBOR"     // what is stored, and what is sent to those who ask for it; an alpha feature
	byName = "granular" // to the CRD, each field of a topic's status has owners
)

var arguments = map[string][]string{
	usual: nil, byName: nil, onDisk: {"-fsync"}, inCBOR: {"--", "--feature-gates=CBORServingAndStorage=true"},
}

// server is an API server with its etcd.
type server struct {
	api     *apiserver.Server
	kube    client.Client // to prepare what is measured
	http    *http.Client
	host    string
	kubeAPI int // process
	etcd    int
	made    map[string]bool // the sets of topics that are there
}

func startServers(ctx context.Context, repository string) (map[string]*server, error) {
	servers := map[string]*server{}
	for name, arguments := range arguments {
		api, err := apiserver.Start(ctx, repository, arguments...)
		if err != nil {
			return servers, err
		}
		s := &server{api: api, made: map[string]bool{}}
		servers[name] = s
		if err := errors.Join(s.connect(), s.findProcesses()); err != nil {
			return servers, err
		}
		if err := apiserver.ApplyCRDs(ctx, s.kube, repository); err != nil {
			return servers, err
		}
		if name == byName {
			if err := s.makeGranular(ctx); err != nil {
				return servers, err
			}
		}
	}
	return servers, nil
}

func (s *server) connect() error {
	config, err := clientcmd.BuildConfigFromFlags("", s.api.Kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.UserAgent, s.host = -1, operator, config.Host
	scheme := runtime.NewScheme()
	err1, err2 := clientgoscheme.AddToScheme(scheme), apiextensionsv1.AddToScheme(scheme)
	if err := errors.Join(err1, err2, v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	if s.http, err = rest.HTTPClientFor(config); err != nil {
		return err
	}
	s.kube, err = client.New(config, client.Options{Scheme: scheme, HTTPClient: s.http})
	return err
}

func (s *server) makeGranular(ctx context.Context) error {
	crd := &apiextensionsv1.CustomResourceDefinition{}
	crd.Name = "kafkatopics." + v1alpha1.GroupVersion.Group
	const status = "/spec/versions/0/schema/openAPIV3Schema/properties/status"
	patch := `[{"op":"remove","path":"` + status + `/x-kubernetes-map-type"}]`
	return s.kube.Patch(ctx, crd, client.RawPatch(types.JSONPatchType, []byte(patch)))
}

// findProcesses tells etcd from the API server by the first argument, as one binary holds both.
func (s *server) findProcesses() error {
	pids, err := bench.Descendants(s.api.PID())
	if err != nil {
		return err
	}
	for _, pid := range pids {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			return err
		}
		switch program, _, _ := strings.Cut(string(line[bytes.IndexByte(line, 0)+1:]), "\x00"); program {
		case "etcd":
			s.etcd = pid
		case "kube-apiserver":
			s.kubeAPI = pid
		}
	}
	if s.etcd == 0 || s.kubeAPI == 0 {
		return fmt.Errorf("etcd and kube-apiserver are not among the processes %v", pids)
	}
	return nil
}

// cpu is what the API server and etcd have used since they began, in seconds.
func (s *server) cpu() (kubeAPI, etcd float64, err error) {
	kubeAPI, err1 := bench.CPUSeconds(s.kubeAPI)
	etcd, err2 := bench.CPUSeconds(s.etcd)
	return kubeAPI, etcd, errors.Join(err1, err2)
}

// call sends a request and returns its answer, which the caller must read and close.
func (s *server) call(ctx context.Context, method, path, sends, accepts string, body []byte) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.host+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", sends)
	request.Header.Set("Accept", accepts)
	answer, err := s.http.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, answer.Status, why)
	}
	return answer.Body, nil
}

// topics returns a set of topics as they are now, which is made first if it is not there.
func (s *server) topics(ctx context.Context, set set, n int) (*unstructured.UnstructuredList, error) {
	if !s.made[set.name] {
		if err := s.make(ctx, set, n); err != nil {
			return nil, fmt.Errorf("make %s: %w", set.name, err)
		}
		s.made[set.name] = true
	}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("KafkaTopicList"))
	return list, s.kube.List(ctx, list, client.InNamespace(set.name))
}

// make creates a set of topics in a namespace of its own, with what others and the operator have written on them.
func (s *server) make(ctx context.Context, set set, n int) error {
	err := s.kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: set.name}})
	if err != nil {
		return err
	}
	for i := range n {
		t := topic(set.name, fmt.Sprintf("topic-%05d", i))
		if err := s.kube.Create(ctx, t, client.FieldOwner(set.creator)); err != nil {
			return err
		}
		for _, write := range set.writes {
			if err := write(ctx, s.kube, t); err != nil {
				return err
			}
		}
	}
	return nil
}
