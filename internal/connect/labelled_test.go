package connect

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// Naming somebody's Secret must not read it: the API server is asked for those alone that bear the label, in the
// namespaces of the operator alone.
func TestSecretsWithoutTheLabelAreNotAskedFor(t *testing.T) {
	asked := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path + " " + r.URL.Query().Get("labelSelector")
		http.Error(w, "{}", http.StatusServiceUnavailable)
	}))
	defer server.Close()
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	mgr, err := ctrl.NewManager(&rest.Config{Host: server.URL}, ctrl.Options{Scheme: scheme,
		Metrics:        metricsserver.Options{BindAddress: "0"},
		MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return mapper, nil }})
	if err != nil {
		t.Fatal(err)
	}
	labelled, err := CacheLabelled(mgr, []string{"shop"}, v1alpha1.UsePassword, v1alpha1.UseJWKS)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { _ = labelled.Start(ctx) }()
	go func() { _ = labelled.Get(ctx, client.ObjectKey{Namespace: "shop", Name: "own"}, &corev1.Secret{}) }()
	const want = "/api/v1/namespaces/shop/secrets " + v1alpha1.LabelUse + " in (jwks,password)"
	select {
	case got := <-asked:
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	case <-ctx.Done():
		t.Error("nothing is asked for")
	}
}
