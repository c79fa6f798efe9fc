package kube

import "testing"

func TestParseNodes(t *testing.T) {
	nodes, err := parseNodes([]byte(`{"items":[
	 {"metadata":{"name":"n1","labels":{"topology.kubernetes.io/zone":"a"}},
	  "status":{"conditions":[{"type":"DiskPressure","status":"False"},
	    {"type":"Ready","status":"True","lastHeartbeatTime":"2026-01-02T03:04:05Z"}],
	   "addresses":[{"type":"Hostname","address":"n1"},{"type":"InternalIP","address":"10.0.0.1"},
	     {"type":"InternalIP","address":"fd00::1"}],
	   "nodeInfo":{"kubeletVersion":"v1.2.3"}}},
	 {"metadata":{"name":"n2"},"status":{"conditions":[{"type":"Ready","status":"Unknown","lastHeartbeatTime":null}]}}]}`))
	if err != nil || len(nodes) != 2 {
		t.Fatal(nodes, err)
	}
	n := nodes["n1"]
	if !n.Ready || n.Zone != "a" || n.IP != "10.0.0.1" || n.Version != "v1.2.3" || n.Heartbeat.Hour() != 3 {
		t.Errorf("%+v", n)
	}
	if nodes["n2"].Ready {
		t.Error("unknown is taken for ready")
	}
	if _, err := parseNodes([]byte("no")); err == nil {
		t.Error("no error")
	}
}
