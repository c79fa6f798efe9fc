package cluster

import (
	"context"
	"fmt"
	"strings"
)

// object is a Kubernetes object and the path it is applied to.
type object struct{ path, yaml string }

// objects is what the cluster needs beyond what the API server makes itself.
func (c *Cluster) objects() []object {
	return append(c.dnsObjects(), []object{
		{"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/localcluster-proxy", `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: localcluster-proxy}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:node-proxier}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:kube-proxy"}]
`},
		{"/apis/storage.k8s.io/v1/csidrivers/dir.csi.localcluster", `apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {name: dir.csi.localcluster}
spec: {attachRequired: false, podInfoOnMount: false, fsGroupPolicy: File, storageCapacity: false, volumeLifecycleModes: [Persistent]}
`},
		{"/apis/storage.k8s.io/v1/storageclasses/standard", `apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: dir.csi.localcluster
volumeBindingMode: WaitForFirstConsumer
reclaimPolicy: Delete
allowVolumeExpansion: true
`},
		// Mounted on two nodes at once, an image would be two file systems on one disk: hence bound to a node.
		{"/apis/storage.k8s.io/v1/storageclasses/sized", `apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: sized}
provisioner: dir.csi.localcluster
parameters: {sized: "true", bind: node}
volumeBindingMode: WaitForFirstConsumer
reclaimPolicy: Delete
allowVolumeExpansion: true
`},
		// Kubernetes refuses to let these grow.
		{"/apis/storage.k8s.io/v1/storageclasses/sized-fixed", `apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: sized-fixed}
provisioner: dir.csi.localcluster
parameters: {sized: "true", bind: node}
volumeBindingMode: WaitForFirstConsumer
reclaimPolicy: Delete
allowVolumeExpansion: false
`},
		// The driver refuses to let these grow far.
		{"/apis/storage.k8s.io/v1/storageclasses/sized-small", `apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: sized-small}
provisioner: dir.csi.localcluster
parameters: {sized: "true", bind: node, largest: 600Mi}
volumeBindingMode: WaitForFirstConsumer
reclaimPolicy: Delete
allowVolumeExpansion: true
`},
	}...)
}

// dnsObjects are the Service of cluster DNS and where it is, in each family.
func (c *Cluster) dnsObjects() []object {
	policy := "SingleStack"
	if len(c.Plan.Each()) > 1 {
		policy = "RequireDualStack"
	}
	objects := []object{{"/api/v1/namespaces/kube-system/services/kube-dns", fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec:
  clusterIP: "%s"
  clusterIPs: ["%s"]
  ipFamilyPolicy: %s
  ports:
  - {name: dns, port: 53, protocol: UDP}
  - {name: dns-tcp, port: 53, protocol: TCP}
`, c.Plan.DNSIPs()[0], strings.Join(c.Plan.DNSIPs(), `", "`), policy)}}
	for i, family := range c.Plan.Each() {
		name := "kube-dns"
		if i > 0 {
			name += "-" + strings.ToLower(family)
		}
		objects = append(objects, object{"/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/" + name,
			fmt.Sprintf(`apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %s, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: %s
endpoints: [{addresses: ["%s"], conditions: {ready: true}}]
ports:
- {name: dns, port: 53, protocol: UDP}
- {name: dns-tcp, port: 53, protocol: TCP}
`, name, family, c.Plan.ControlIPs()[i])})
	}
	return objects
}

func (c *Cluster) applyObjects(ctx context.Context) error {
	client, err := c.Client()
	if err != nil {
		return err
	}
	for _, o := range c.objects() {
		if err := client.Apply(ctx, o.path, o.yaml); err != nil {
			return err
		}
	}
	return nil
}
