package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// metricsAddress is the metrics port of the operator's pod, which only a machine in the pods' network can reach.
func metricsAddress(t *testing.T) string {
	t.Helper()
	pods, err := operatorPods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods {
		if pod.DeletionTimestamp == nil && podReady(&pod) {
			return net.JoinHostPort(pod.Status.PodIP, "8443")
		}
	}
	t.Fatalf("none of %d operator pods is ready", len(pods))
	return ""
}

func getMetrics(ctx context.Context, address, token string) (status int, body string, err error) {
	// The certificate is made by the operator for itself, as Prometheus is told with insecureSkipVerify.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // see above
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/metrics", nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// tokenFor makes an account in a namespace, which may read metrics or may do nothing, and returns a token of it.
func tokenFor(t *testing.T, namespace, name string, mayRead bool) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := kube.Create(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	if mayRead {
		role := &rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: namespace + "-" + name},
			Rules:      []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}},
		}
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: role.Name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: name}},
		}
		for _, o := range []client.Object{role, binding} {
			if err := kube.Create(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = kube.Delete(context.Background(), o) })
		}
	}
	request := &authenticationv1.TokenRequest{}
	if err := kube.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// readMetrics returns the operator's metrics without labels, by name; nil where the pods cannot be reached from here.
func readMetrics(t *testing.T) map[string]float64 {
	t.Helper()
	if !isLocal() {
		return nil
	}
	ns := newNamespace(t)
	token, address := tokenFor(t, ns, "reader", true), metricsAddress(t)
	var body string
	eventually(t, 30*time.Second, "the operator tells its metrics", func(ctx context.Context) error {
		status, text, err := getMetrics(ctx, address, token)
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("status %d (error %w)", status, err)
		}
		body = text
		return nil
	})
	values := map[string]float64{}
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		if name, text, found := strings.Cut(lines.Text(), " "); found && !strings.HasPrefix(name, "#") {
			if value, err := strconv.ParseFloat(text, 64); err == nil {
				values[name] = value
			}
		}
	}
	return values
}

func TestDelivery_MetricsAreForAuthorizedReadersOnly(t *testing.T) {
	promise(t)
	if !isLocal() {
		t.Skip("the pods of this cluster cannot be reached from here")
	}
	waitOperator(t)
	if values := readMetrics(t); values["process_resident_memory_bytes"] == 0 {
		t.Errorf("the metrics lack process_resident_memory_bytes: %d values", len(values))
	}
	ns, address := newNamespace(t), metricsAddress(t)
	for name, token := range map[string]string{
		"nobody": "", "a wrong token": "x.y.z", "an account without the right": tokenFor(t, ns, "stranger", false),
	} {
		status, body, err := getMetrics(t.Context(), address, token)
		if err != nil || status == http.StatusOK || strings.Contains(body, "process_") {
			t.Errorf("%s: status %d (error %v), expected a refusal: %s", name, status, err, tail(body))
		}
	}
}

func TestDelivery_TheOperatorRunsWithTheLeastThatItNeeds(t *testing.T) {
	promise(t)
	pod := operator(t).Spec.Template.Spec
	c := pod.Containers[0]
	switch security := c.SecurityContext; {
	case pod.SecurityContext == nil || pod.SecurityContext.RunAsNonRoot == nil || !*pod.SecurityContext.RunAsNonRoot:
		t.Error("the operator may run as root")
	case security == nil || security.ReadOnlyRootFilesystem == nil || !*security.ReadOnlyRootFilesystem:
		t.Error("the operator may write to its image")
	case security.AllowPrivilegeEscalation == nil || *security.AllowPrivilegeEscalation:
		t.Error("the operator may gain privileges")
	}
	if limit := c.Resources.Limits.Memory().String(); limit != "128Mi" {
		t.Errorf("memory limit %s, expected 128Mi", limit)
	}
	if c.LivenessProbe == nil || c.ReadinessProbe == nil {
		t.Error("the operator has not both probes")
	}
}
