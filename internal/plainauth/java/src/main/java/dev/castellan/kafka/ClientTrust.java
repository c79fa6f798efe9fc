package dev.castellan.kafka;

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLSession;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;
import javax.security.auth.x500.X500Principal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Whom a listener trusts about certificates of others than users, as its files say now. TLS asks once, in the handshake,
 * and clients with a certificate never log in again: without this a connection would outlive its certificate, the
 * authority that has signed it, and any word of the owner's. The files are described in the Go package plainauth.
 */
final class ClientTrust {

    /** Ends the name of the file with refused subjects, beside that with the authorities. */
    static final String REFUSED = ".refused";
    /** How long a chain counts as verified; certificates above the first one end as well. */
    private static final long VERIFIED_NANOS = TimeUnit.MINUTES.toNanos(1);

    private static final String VERIFIED = "castellan.verified";
    private static final Map<Path, ClientTrust> ALL = new ConcurrentHashMap<>();
    private static final Logger LOG = LoggerFactory.getLogger(ClientTrust.class);

    private final WatchedFile<Authorities> authorities;
    private final WatchedFile<Subjects> refused;

    private ClientTrust(Path file) {
        authorities = new WatchedFile<>(file, Authorities::parse, new Authorities(null, 0), null,
                "nobody is let in by a certificate of another authority");
        refused = new WatchedFile<>(Path.of(file + REFUSED), Subjects::parse, null, new Subjects(Set.of(), Set.of()),
                "nobody is let in by a certificate of another authority");
    }

    /** What is known of a listener's trust store; all connections share it. */
    static ClientTrust at(Path file) {
        return ALL.computeIfAbsent(file, ClientTrust::new);
    }

    /** Why the certificate of a connection opens nothing any more, as half a sentence, or null. */
    String refusal(SSLSession session, Certificate[] chain) {
        X509Certificate first = (X509Certificate) chain[0];
        Subjects out = refused.current();
        if (out == null || out.has(first.getSubjectX500Principal())) {
            return "the owner of the cluster refuses it";
        }
        if (first.getNotAfter().getTime() <= System.currentTimeMillis()) {
            return "it has ended";
        }
        Authorities now = authorities.current();
        long nanos = System.nanoTime();
        if (session.getValue(VERIFIED) instanceof Verified verified && verified.by() == now
                && nanos - verified.at() < VERIFIED_NANOS) {
            return null;
        }
        try {
            now.verify(chain);
        } catch (CertificateException | RuntimeException e) {
            return "no authority that the listener trusts has signed it, or not any more";
        }
        session.putValue(VERIFIED, new Verified(now, nanos));
        return null;
    }

    /** Who has vouched for a chain, and when, in nanoseconds of the process's clock. */
    private record Verified(Authorities by, long at) {}

    /** The authorities of a file, and how many they are. They verify a chain as the handshake does. */
    private static final class Authorities {
        private final X509TrustManager manager;
        private final int count;

        Authorities(X509TrustManager manager, int count) {
            this.manager = manager;
            this.count = count;
        }

        static Authorities parse(byte[] content) throws Exception {
            KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
            store.load(null, null);
            int count = 0;
            for (Certificate certificate : CertificateFactory.getInstance("X.509")
                    .generateCertificates(new ByteArrayInputStream(content))) {
                store.setCertificateEntry(Integer.toString(count++), certificate);
            }
            TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            factory.init(store);
            for (TrustManager manager : factory.getTrustManagers()) {
                if (manager instanceof X509TrustManager x509) {
                    return new Authorities(x509, count);
                }
            }
            throw new IllegalStateException("this Java verifies no certificates");
        }

        void verify(Certificate[] chain) throws CertificateException {
            if (manager == null) {
                throw new CertificateException("nobody is trusted");
            }
            X509Certificate[] all = new X509Certificate[chain.length];
            System.arraycopy(chain, 0, all, 0, chain.length);
            manager.checkClientTrusted(all, all[0].getPublicKey().getAlgorithm());
        }

        @Override
        public String toString() {
            return count + " authorities";
        }
    }

    /** Refused subjects, a line each: as names where they are such, and as they stand there. */
    private record Subjects(Set<X500Principal> names, Set<String> texts) {
        static Subjects parse(byte[] content) {
            Set<X500Principal> names = new HashSet<>();
            Set<String> texts = new HashSet<>();
            for (String line : new String(content, StandardCharsets.UTF_8).split("\n")) {
                if (line.isEmpty() || line.startsWith("#")) {
                    continue;
                }
                texts.add(line);
                try {
                    names.add(new X500Principal(line));
                } catch (IllegalArgumentException e) {
                    LOG.error("Refused subjects: {} is no distinguished name for Java, and is compared letter by letter", line);
                }
            }
            return new Subjects(Set.copyOf(names), Set.copyOf(texts));
        }

        boolean has(X500Principal subject) {
            return !texts.isEmpty() && (names.contains(subject) || texts.contains(subject.getName()));
        }

        @Override
        public String toString() {
            return texts.size() + " refused subjects";
        }
    }
}
