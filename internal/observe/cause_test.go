package observe

import "testing"

func TestCause(t *testing.T) {
	cases := map[string]struct{ text, cause string }{
		"what was thrown last counts, without its class": {
			"2026-11-21T10:02:31.496Z ERROR Exiting Kafka due to fatal exception (Kafka$)\n" +
				"org.apache.kafka.common.config.ConfigException: Invalid value abc for configuration " +
				"log.dir.failure.timeout.ms: Not a number of type LONG\n" +
				"\tat org.apache.kafka.common.config.ConfigDef.parseType(ConfigDef.java:800)\n\tat kafka.Kafka.main(Kafka.scala)\n",
			"Invalid value abc for configuration log.dir.failure.timeout.ms: Not a number of type LONG",
		},
		"the innermost cause counts": {
			"java.lang.RuntimeException: outer\n\tat a.B.c(B.java:1)\nCaused by: java.io.IOException: No space left on " +
				"device\n\tat a.B.d(B.java:2)\n",
			"No space left on device",
		},
		"an error in the log counts where nothing was thrown": {
			"2026-11-21T10:02:31.496Z ERROR the disk is full (LogManager)\n2026-11-21T10:02:31.497Z INFO shutting down " +
				"(BrokerServer)\n",
			"the disk is full",
		},
		"what the start script found of a disk counts more than Kafka's last words": {
			"org.apache.kafka.common.errors.KafkaStorageException: The log dir /d is already offline due to a previous IO " +
				"exception.\n2026-11-29T22:02:15.841Z ERROR Shutdown broker because the metadata log dir /d has failed " +
				"(ReplicaManager)\ncastellan: cannot write to /d: No space left on device\n",
			"cannot write to /d: No space left on device",
		},
		"else the last line counts": {"start.sh: no files of node 7\n", "start.sh: no files of node 7"},
		"silence says nothing":      {"\n\n", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := cause(c.text); got != c.cause {
				t.Errorf("%q, expected %q", got, c.cause)
			}
		})
	}
}
