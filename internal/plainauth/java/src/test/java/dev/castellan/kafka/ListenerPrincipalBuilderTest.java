package dev.castellan.kafka;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.InputStream;
import java.lang.reflect.Proxy;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSession;
import javax.security.sasl.SaslServer;
import org.apache.kafka.common.errors.AuthenticationException;
import org.apache.kafka.common.security.auth.AuthenticationContext;
import org.apache.kafka.common.security.auth.KafkaPrincipal;
import org.apache.kafka.common.security.auth.PlaintextAuthenticationContext;
import org.apache.kafka.common.security.auth.SaslAuthenticationContext;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.security.auth.SslAuthenticationContext;
import org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ListenerPrincipalBuilderTest {

    private static final Path TESTDATA = Path.of(System.getProperty("testdata", "../testdata"), "certificates");
    private static final String NODE = "CN=kafka-node,O=castellan";
    private static final String REFUSED = "refused";

    @TempDir
    Path dir;

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '"', textBlock = """
            a user's password                                | SCRAM-SHA-512 | anna                              | anna
            a super user's password                          | PLAIN         | admin                             | admin
            a token                                          | OAUTHBEARER   | 3f2a                              | oidc:3f2a
            a token with a super user's name                 | OAUTHBEARER   | admin                             | oidc:admin
            a token of a super user that was not named so    | OAUTHBEARER   | boss                              | refused
            a token of a super user by the owner's word      | OAUTHBEARER   | ops                               | oidc:ops
            a super user of a mechanism that is not ours     | LDAPX         | admin                             | refused
            somebody else of a mechanism that is not ours    | LDAPX         | anna                              | anna
            the operator's name by a password                | SCRAM-SHA-512 | CN=castellan-operator,O=castellan | refused
            a node's name by a password                      | PLAIN         | CN=kafka-node,O=castellan         | refused
            a node's name in other words                     | PLAIN         | cn=kafka-node, o=Castellan        | refused
            ANONYMOUS by name                                | SCRAM-SHA-256 | ANONYMOUS                         | refused
            no name                                          | PLAIN         | ""                                | refused
            """)
    void aSaslClientIsWhoItsListenerSays(String sentence, String mechanism, String name, String wanted) throws Exception {
        assertOutcome(wanted, sasl("CLIENTS", mechanism, name));
    }

    @Test
    void aTokenOfAListenerWithoutAPrefixIsItsSubject() throws Exception {
        assertOutcome("anna", sasl("BARE", "OAUTHBEARER", "anna"));
        assertOutcome(REFUSED, sasl("BARE", "OAUTHBEARER", "admin"));
        assertOutcome(REFUSED, sasl("BARE", "OAUTHBEARER", NODE));
    }

    @Test
    void aTokenOfAListenerThatSaysNothingOfAPrefixIsRefused() throws Exception {
        assertOutcome(REFUSED, sasl("UNTOLD", "OAUTHBEARER", "anna"));
        assertOutcome("anna", sasl("UNTOLD", "PLAIN", "anna"));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '"', textBlock = """
            a name of the directory                          | DIRECTORY | PLAIN         | anna         | ldap:anna
            a super user's name of the directory             | DIRECTORY | PLAIN         | admin        | ldap:admin
            a super user's whole name of the directory       | DIRECTORY | PLAIN         | boss         | refused
            a super user of it by the owner's word           | DIRECTORY | PLAIN         | chief        | ldap:chief
            no name of the directory                         | DIRECTORY | PLAIN         | ""           | refused
            a password of the operator's, beside it          | DIRECTORY | SCRAM-SHA-512 | admin        | admin
            a token, beside it                               | DIRECTORY | OAUTHBEARER   | 3f2a         | 3f2a
            a server that calls itself otherwise             | DIRECTORY | LDAPX         | anna         | ldap:anna
            without a prefix, a name                         | BAREDIR   | PLAIN         | anna         | anna
            without a prefix, a super user's name            | BAREDIR   | PLAIN         | admin        | refused
            without a prefix, a node's name                  | BAREDIR   | PLAIN         | CN=kafka-node,O=castellan | refused
            without a prefix, nobody's name                  | BAREDIR   | PLAIN         | ANONYMOUS    | refused
            where nobody says what the prefix is             | UNSAID    | LDAPX         | anna         | refused
            """)
    void whoComesByACustomMechanismIsNobodyOfOurs(String sentence, String listener, String mechanism, String name,
            String wanted) throws Exception {
        assertOutcome(wanted, sasl(listener, mechanism, name));
    }

    @Test
    void aKerberosPrincipalHasItsShortNameIfItIsOfTheDefaultRealm() throws Exception {
        System.setProperty("java.security.krb5.realm", "EXAMPLE.COM");
        System.setProperty("java.security.krb5.kdc", "localhost");
        assertOutcome("krb:alice", sasl("KERBEROS", "GSSAPI", "alice@EXAMPLE.COM"));
        assertOutcome("krb:http", sasl("KERBEROS", "GSSAPI", "http/www.example.com@EXAMPLE.COM"));
        assertOutcome(REFUSED, sasl("KERBEROS", "GSSAPI", "alice@ELSEWHERE.COM"));
        assertOutcome(REFUSED, sasl("KERBEROS", "GSSAPI", null));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            a certificate of the list                             | app      | app
            one of the operator's making that is not in the list  | revoked  | refused
            one of the list that has ended                        | ended    | refused
            one of another authority                              | foreign  | CN=ops,OU=Team A,O=Example
            one that another authority has signed                 | job      | CN=job,O=Example
            one of another authority that has ended               | past     | refused
            one of an authority that is not trusted any more      | stranger | refused
            one of another authority that says it is a node       | node     | refused
            one without a subject                                 | nameless | refused
            """)
    void aCertificateIsWhoseTheListSays(String sentence, String certificate, String wanted) throws Exception {
        assertOutcome(wanted, ssl("MUTUAL", certificate));
    }

    @Test
    void anOpenConnectionEndsWhenItsAuthorityIsTrustedNoMore() throws Exception {
        assertEnds("trust", Files.readString(TESTDATA.resolve("foreign.crt")));
    }

    @Test
    void anOpenConnectionEndsWhenNobodyKnowsWhomToTrust() throws Exception {
        assertEnds("trust", "no certificate at all");
    }

    @ParameterizedTest
    @ValueSource(strings = {"CN=job,O=Example", "cn=Job, o=example", "# gone\nCN=gone,O=Example\n\nCN=job,O=Example\n"})
    void anOpenConnectionEndsWhenTheOwnerRefusesItsSubject(String refused) throws Exception {
        assertEnds("trust.refused", refused);
    }

    @Test
    void refusedSubjectsAreNobodyElses() throws Exception {
        Path trust = dir.resolve("trust");
        Files.copy(TESTDATA.resolve("trust"), trust);
        Files.writeString(dir.resolve("trust.refused"), "CN=jobs,O=Example\nO=Example\nno name\n");
        Map<String, Object> configs = configs();
        configs.put("ssl.truststore.location", trust.toString());
        assertEquals("CN=job,O=Example", outcome(builder(configs), ssl("MUTUAL", "job")));
    }

    @Test
    void aListenerThatTrustsNobodyRefusesForeignCertificates() throws Exception {
        Map<String, Object> configs = configs();
        configs.remove("ssl.truststore.location");
        assertEquals(REFUSED, outcome(builder(configs), ssl("MUTUAL", "job")));
        assertEquals("app", outcome(builder(configs), ssl("MUTUAL", "app")));
    }

    /** A connection with the certificate job ends once a file beside its trust store, or that itself, has another content. */
    private void assertEnds(String name, String content) throws Exception {
        Files.copy(TESTDATA.resolve("trust"), dir.resolve("trust"));
        Map<String, Object> configs = configs();
        configs.put("ssl.truststore.location", dir.resolve("trust").toString());
        ListenerPrincipalBuilder builder = builder(configs);
        AuthenticationContext connection = ssl("MUTUAL", "job");
        AuthenticationContext user = ssl("MUTUAL", "app");
        assertEquals("CN=job,O=Example", outcome(builder, connection));
        Path next = dir.resolve("next");
        Files.writeString(next, content);
        Files.move(next, dir.resolve(name), StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
        long deadline = System.nanoTime() + 10_000_000_000L;
        while (!outcome(builder, connection).equals(REFUSED)) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("the connection goes on 10 s later");
            }
            Thread.onSpinWait();
        }
        assertEquals("app", outcome(builder, user));
    }

    @Test
    void aSuperUserByAForeignCertificateNeedsTheOwnersWord() throws Exception {
        Map<String, Object> configs = configs();
        configs.put("super.users", "User:CN=ops,OU=Team A,O=Example");
        assertEquals(REFUSED, outcome(builder(configs), ssl("MUTUAL", "foreign")));
        configs.put("castellan.federated.super.users", "User:CN=ops,OU=Team A,O=Example");
        assertEquals("CN=ops,OU=Team A,O=Example", outcome(builder(configs), ssl("MUTUAL", "foreign")));
    }

    @Test
    void theClustersOwnListenersKnowItsOwnNames() throws Exception {
        assertOutcome(NODE, ssl("REPLICATION", "node"));
        assertOutcome(NODE, ssl("CONTROLLER", "node"));
    }

    @Test
    void aListenerWithoutAuthenticationIsAnonymous() throws Exception {
        assertOutcome("ANONYMOUS", new PlaintextAuthenticationContext(address(), "OPEN"));
        assertOutcome("ANONYMOUS", ssl("OPEN", null));
    }

    @Test
    void aListenerWithoutAListRefusesEveryCertificate() throws Exception {
        assertOutcome(REFUSED, ssl("LISTLESS", "app"));
        assertOutcome(REFUSED, ssl("LISTLESS", "foreign"));
    }

    @Test
    void aMissingListLetsNobodyInWithACertificateOfTheOperators() throws Exception {
        Map<String, Object> configs = configs();
        configs.put("listener.name.mutual.castellan.client.certificates", dir.resolve("missing").toString());
        assertEquals(REFUSED, outcome(builder(configs), ssl("MUTUAL", "app")));
        assertEquals("CN=ops,OU=Team A,O=Example", outcome(builder(configs), ssl("MUTUAL", "foreign")));
    }

    @Test
    void anOpenConnectionEndsWhenItsCertificateLeavesTheList() throws Exception {
        Path list = dir.resolve("list");
        Files.copy(TESTDATA.resolve("list"), list);
        Map<String, Object> configs = configs();
        configs.put("listener.name.mutual.castellan.client.certificates", list.toString());
        ListenerPrincipalBuilder builder = builder(configs);
        AuthenticationContext connection = ssl("MUTUAL", "app");
        assertEquals("app", outcome(builder, connection));
        Path emptied = dir.resolve("emptied");
        Files.writeString(emptied, "# nobody\n");
        Files.move(emptied, list, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
        long deadline = System.nanoTime() + 10_000_000_000L;
        while (!outcome(builder, connection).equals(REFUSED)) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("the connection goes on 10 s after its certificate has left the list");
            }
            Thread.onSpinWait();
        }
    }

    @Test
    void furtherListsCountByTheWordThatTheFirstOneSays() throws Exception {
        String word = "0123456789abcdef";
        for (String said : List.of("", "#files " + word + "\n", "#files " + word + " " + "f".repeat(16) + "\n",
                "#files " + "f".repeat(16) + " " + word + "\n")) {
            boolean counts = said.endsWith(" " + word + "\n") && said.length() > 25;
            Path list = Files.createTempDirectory(dir, "lists").resolve("certificates");
            Files.writeString(list, "# head\n" + said);
            // users of -1 are not there yet
            Files.writeString(Path.of(list + "-2"), "# head\n#files " + word + "\n" + Files.readString(TESTDATA.resolve("list")));
            Map<String, Object> configs = configs();
            configs.put("listener.name.mutual.castellan.client.certificates", list.toString());
            assertEquals(counts ? "app" : REFUSED, outcome(builder(configs), ssl("MUTUAL", "app")), said);
        }
    }

    /** All files of a mount are written anew when one of them changes. */
    @Test
    void aFileThatIsWrittenAnewIsNotParsedAgain() throws Exception {
        Path file = dir.resolve("watched");
        List<Integer> parsed = new ArrayList<>();
        WatchedFile<String> watched = new WatchedFile<>(file, content -> {
            parsed.add(content.length);
            return new String(content, StandardCharsets.UTF_8);
        }, "unreadable", null, "nothing follows");
        for (String content : List.of("one", "one", "two", "two", "one")) {
            Path next = dir.resolve("watched.next");
            Files.writeString(next, content);
            Files.move(next, file, StandardCopyOption.REPLACE_EXISTING);
            long looks = System.nanoTime() + 2 * WatchedFile.LOOK_NANOS;
            while (System.nanoTime() < looks) {
                watched.current();
                Thread.onSpinWait();
            }
            assertEquals(content, watched.current());
        }
        assertEquals(3, parsed.size());
    }

    @Test
    void aFaultyLineLetsNobodyInAndHarmsNoOther() {
        String good = "a".repeat(64);
        String list = String.join("\n", "anna:" + good + ":4102444800", "bert:" + good + ":4102444800", "no",
                "c d:" + "b".repeat(64) + ":1", "e:" + "B".repeat(64) + ":1", "f:" + "c".repeat(64) + ":01",
                ":" + "d".repeat(64) + ":1", "g:" + "e".repeat(63) + ":1", "");
        assertEquals(Map.of(good, new CertificateList.Entry("anna", 4102444800L)),
                CertificateList.parse(list.getBytes(StandardCharsets.UTF_8)));
    }

    @Test
    void whatIsForwardedReadsAsKafkasOwn() {
        KafkaPrincipal principal = new KafkaPrincipal("User", "oidc:3f2a", true);
        DefaultKafkaPrincipalBuilder kafka = new DefaultKafkaPrincipalBuilder(null, null);
        assertEquals(principal, kafka.deserialize(new ListenerPrincipalBuilder().serialize(principal)));
        assertEquals(principal, new ListenerPrincipalBuilder().deserialize(kafka.serialize(principal)));
    }

    private void assertOutcome(String wanted, AuthenticationContext context) {
        assertEquals(wanted, outcome(builder(configs()), context));
    }

    private static Map<String, Object> configs() {
        Map<String, Object> configs = new HashMap<>();
        configs.put("super.users", "User:" + NODE + ";User:CN=castellan-operator,O=castellan;User:admin;User:oidc:boss; User:oidc:ops"
                + ";User:ldap:boss;User:ldap:chief");
        configs.put("castellan.federated.super.users", "User:oidc:ops;User:ldap:chief");
        for (String listener : new String[] {"directory", "baredir", "unsaid"}) {
            configs.put("listener.name." + listener + ".castellan.custom.mechanism", "PLAIN");
        }
        configs.put("listener.name.directory.castellan.custom.principal.prefix", "ldap:");
        configs.put("listener.name.directory.castellan.token.principal.prefix", "");
        configs.put("listener.name.baredir.castellan.custom.principal.prefix", "");
        configs.put("listener.name.kerberos.castellan.custom.mechanism", "GSSAPI");
        configs.put("listener.name.kerberos.castellan.custom.principal.prefix", "krb:");
        configs.put("listener.name.clients.castellan.token.principal.prefix", "oidc:");
        configs.put("listener.name.bare.castellan.token.principal.prefix", "");
        configs.put("listener.name.mutual.castellan.client.certificates", TESTDATA.resolve("list").toString());
        configs.put("ssl.truststore.location", TESTDATA.resolve("trust").toString());
        return configs;
    }

    private static ListenerPrincipalBuilder builder(Map<String, Object> configs) {
        ListenerPrincipalBuilder builder = new ListenerPrincipalBuilder();
        builder.configure(configs);
        return builder;
    }

    private static String outcome(ListenerPrincipalBuilder builder, AuthenticationContext context) {
        try {
            return builder.build(context).getName();
        } catch (AuthenticationException e) {
            return REFUSED;
        }
    }

    private static InetAddress address() {
        return InetAddress.getLoopbackAddress();
    }

    private static AuthenticationContext sasl(String listener, String mechanism, String name) {
        SaslServer server = (SaslServer) Proxy.newProxyInstance(SaslServer.class.getClassLoader(),
                new Class<?>[] {SaslServer.class}, (proxy, method, arguments) -> switch (method.getName()) {
                    case "getMechanismName" -> mechanism;
                    case "getAuthorizationID" -> name == null ? "" : name;
                    default -> throw new UnsupportedOperationException(method.getName());
                });
        return new SaslAuthenticationContext(server, SecurityProtocol.SASL_SSL, address(), listener);
    }

    private static AuthenticationContext ssl(String listener, String certificate) throws Exception {
        Certificate[] chain = certificate == null ? null : new Certificate[] {read(certificate)};
        Map<String, Object> values = new HashMap<>();
        SSLSession session = (SSLSession) Proxy.newProxyInstance(SSLSession.class.getClassLoader(),
                new Class<?>[] {SSLSession.class}, (proxy, method, arguments) -> switch (method.getName()) {
                    case "getPeerCertificates", "getPeerPrincipal" -> {
                        if (chain == null) {
                            throw new SSLPeerUnverifiedException("no certificate");
                        }
                        yield method.getName().equals("getPeerCertificates") ? chain
                                : ((java.security.cert.X509Certificate) chain[0]).getSubjectX500Principal();
                    }
                    case "getValue" -> values.get(arguments[0]);
                    case "putValue" -> values.put((String) arguments[0], arguments[1]);
                    default -> throw new UnsupportedOperationException(method.getName());
                });
        return new SslAuthenticationContext(session, address(), listener);
    }

    private static Certificate read(String name) throws Exception {
        try (InputStream in = Files.newInputStream(TESTDATA.resolve(name + ".crt"))) {
            return CertificateFactory.getInstance("X.509").generateCertificate(in);
        }
    }
}
