package dev.castellan.kafka;

import java.io.IOException;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.cert.Certificate;
import java.security.cert.CertificateEncodingException;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSession;
import javax.security.auth.kerberos.KerberosPrincipal;
import javax.security.auth.x500.X500Principal;
import org.apache.kafka.common.Configurable;
import org.apache.kafka.common.errors.AuthenticationException;
import org.apache.kafka.common.errors.SslAuthenticationException;
import org.apache.kafka.common.security.auth.AuthenticationContext;
import org.apache.kafka.common.security.auth.KafkaPrincipal;
import org.apache.kafka.common.security.auth.KafkaPrincipalBuilder;
import org.apache.kafka.common.security.auth.KafkaPrincipalSerde;
import org.apache.kafka.common.security.auth.SaslAuthenticationContext;
import org.apache.kafka.common.security.auth.SslAuthenticationContext;
import org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder;
import org.apache.kafka.common.security.kerberos.KerberosName;
import org.apache.kafka.common.security.kerberos.KerberosShortNamer;
import org.apache.kafka.common.security.ssl.SslPrincipalMapper;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Says who a client is, by the listener at which it has come.
 *
 * <p>Kafka's authorizer does not know listeners: a principal is the same wherever it arrives. So what only the cluster's
 * own authority may say, that somebody is a node or the operator, must not arrive at a listener of clients, by whatever
 * name, token or certificate. The rules for those listeners:
 *
 * <ul>
 *   <li>A name of the cluster's own, and the name ANONYMOUS, are nobody's.
 *   <li>A token's subject has the prefix of its listener before it, and so has the name that comes by the listener's
 *       custom mechanism. That mechanism may be called PLAIN; its names are foreign all the same.
 *   <li>A certificate that is in the list of users' certificates is its user's. One of the operator's making that is not
 *       in it opens nothing: it was revoked, or it was never meant for clients.
 *   <li>Any other certificate is its subject's, as some authority says that the owner trusts, until it ends, the owner
 *       refuses its subject, or trusts that authority no more. Whoever is known only by a token, by such an authority, or
 *       by a mechanism that is not ours, is no super user but by the owner's word.
 * </ul>
 *
 * <p>Kafka makes one of these for each connection and asks it at each request; an exception closes the connection. The
 * listeners CONTROLLER and REPLICATION are the cluster's own, and are Kafka's default.
 */
public final class ListenerPrincipalBuilder implements KafkaPrincipalBuilder, KafkaPrincipalSerde, Configurable {

    static final String SUPER_USERS = "super.users";
    /** Principals that may be super users though they come by a token or a foreign certificate; separated as above. */
    static final String FEDERATED_SUPER_USERS = "castellan.federated.super.users";
    /** Of a listener: what stands before the subject of a token. */
    static final String TOKEN_PREFIX = "castellan.token.principal.prefix";
    /** Of a listener: what its custom mechanism is called in SASL, and what stands before the names that come by it. */
    static final String CUSTOM_MECHANISM = "castellan.custom.mechanism";
    static final String CUSTOM_PREFIX = "castellan.custom.principal.prefix";
    /** Of a listener: the path of the list of users' certificates. */
    static final String CERTIFICATES = "castellan.client.certificates";

    /** Kafka's own: the path of the authorities that may sign certificates of the listener's clients. */
    static final String TRUST_STORE = "ssl.truststore.location";

    private static final Set<String> INTERNAL_LISTENERS = Set.of("CONTROLLER", "REPLICATION");
    private static final Set<String> OWN_MECHANISMS = Set.of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512");
    private static final String TOKEN_MECHANISM = "OAUTHBEARER";
    private static final String KERBEROS = "GSSAPI";
    private static final String OWN_ORGANIZATION = "castellan";
    private static final String FINGERPRINT = "castellan.fingerprint";
    private static final Logger LOG = LoggerFactory.getLogger(ListenerPrincipalBuilder.class);

    private final DefaultKafkaPrincipalBuilder kafka =
            new DefaultKafkaPrincipalBuilder(null, SslPrincipalMapper.fromRules("DEFAULT"));
    private Map<String, ?> configs = Map.of();
    private Set<String> superUsers = Set.of();
    private Set<String> federated = Set.of();

    @Override
    public void configure(Map<String, ?> configs) {
        this.configs = configs;
        superUsers = principals(configs.get(SUPER_USERS));
        federated = principals(configs.get(FEDERATED_SUPER_USERS));
    }

    @Override
    public KafkaPrincipal build(AuthenticationContext context) {
        if (INTERNAL_LISTENERS.contains(context.listenerName())) {
            return kafka.build(context);
        }
        try {
            return ofClient(context);
        } catch (AuthenticationException e) {
            // Names are no secrets, and whoever looks why a client is cut off finds nothing else.
            LOG.warn("Listener {}: {} is refused: {}", context.listenerName(), context.clientAddress(), e.getMessage());
            throw e;
        }
    }

    private KafkaPrincipal ofClient(AuthenticationContext context) {
        if (context instanceof SslAuthenticationContext ssl) {
            return ofCertificate(ssl);
        }
        if (!(context instanceof SaslAuthenticationContext sasl)) {
            return KafkaPrincipal.ANONYMOUS; // of a listener without authentication
        }
        String mechanism = sasl.server().getMechanismName();
        String name = sasl.server().getAuthorizationID();
        if (KERBEROS.equals(mechanism)) {
            name = shortName(name);
        }
        if (TOKEN_MECHANISM.equals(mechanism)) {
            return checked(prefixed(context, TOKEN_PREFIX, name), false);
        }
        String custom = setting(context, CUSTOM_MECHANISM, "");
        boolean own = OWN_MECHANISMS.contains(mechanism) && !mechanism.equals(custom);
        if (!own && !custom.isEmpty()) {
            name = prefixed(context, CUSTOM_PREFIX, name);
        }
        return checked(name, own);
    }

    /** A client without a name is nobody; a prefix alone would make somebody of it. */
    private String prefixed(AuthenticationContext context, String key, String name) {
        String prefix = setting(context, key, null);
        if (prefix == null) { // only an empty one is the owner's word that there is none
            throw new SslAuthenticationException("the listener does not say what stands before this name");
        }
        return name == null || name.isEmpty() ? "" : prefix + name;
    }

    /** The name of a Kerberos principal by Kafka's rule DEFAULT, which knows the realm of krb5.conf and no other. */
    private static String shortName(String principal) {
        String realm;
        try {
            realm = new KerberosPrincipal("any", KerberosPrincipal.KRB_NT_PRINCIPAL).getRealm();
        } catch (IllegalArgumentException e) {
            realm = ""; // krb5.conf names none
        }
        try {
            return KerberosShortNamer.fromUnparsedRules(realm, null).shortName(KerberosName.parse(principal));
        } catch (IOException | IllegalArgumentException e) {
            throw new SslAuthenticationException("'" + principal + "' is not of the realm '" + realm
                    + "', which is default_realm in krb5.conf");
        }
    }

    private KafkaPrincipal ofCertificate(SslAuthenticationContext context) {
        SSLSession session = context.session();
        Certificate[] chain;
        try {
            chain = session.getPeerCertificates();
        } catch (SSLPeerUnverifiedException e) {
            return KafkaPrincipal.ANONYMOUS; // the listener asks for no certificate
        }
        String file = setting(context, CERTIFICATES, "");
        if (file.isEmpty()) {
            throw new SslAuthenticationException("the listener has no list of certificates");
        }
        String user = CertificateList.userOf(Path.of(file), fingerprint(session, chain[0]));
        if (user != null) {
            return checked(user, true);
        }
        X500Principal subject = ((X509Certificate) chain[0]).getSubjectX500Principal();
        if (isOwn(subject)) {
            throw new SslAuthenticationException("the certificate of " + subject.getName()
                    + " is not, or no longer, that of a user");
        }
        if (!(configs.get(TRUST_STORE) instanceof String trust)) {
            throw new SslAuthenticationException("the listener does not say whom it trusts");
        }
        String refusal = ClientTrust.at(Path.of(trust)).refusal(session, chain);
        if (refusal != null) {
            throw new SslAuthenticationException("the certificate of " + subject.getName() + ": " + refusal);
        }
        return checked(subject.getName(), false);
    }

    /** Refuses names that must not arrive at a listener of clients; own = by a credential that the operator gave. */
    private KafkaPrincipal checked(String given, boolean own) {
        String name = given == null ? "" : given;
        KafkaPrincipal principal = new KafkaPrincipal(KafkaPrincipal.USER_TYPE, name);
        if (name.isEmpty() || principal.equals(KafkaPrincipal.ANONYMOUS)) {
            throw new SslAuthenticationException("nobody is called '" + name + "'");
        }
        if (isOwn(name)) {
            throw new SslAuthenticationException("'" + name + "' is a name of the cluster's own");
        }
        if (!own && superUsers.contains(principal.toString()) && !federated.contains(principal.toString())) {
            throw new SslAuthenticationException("'" + name + "' is a super user, and may come by a token, by a "
                    + "certificate of another authority or by a custom mechanism only if spec.authorization.federatedSuperUsers names it");
        }
        return principal;
    }

    private static boolean isOwn(String name) {
        if (name.indexOf('=') < 0) {
            return false;
        }
        try {
            return isOwn(new X500Principal(name));
        } catch (IllegalArgumentException e) {
            return false; // no distinguished name, so that it equals none of the cluster's
        }
    }

    /** Tells whether a subject is of the operator's making: all of those have its organization. */
    private static boolean isOwn(X500Principal subject) {
        String canonical = subject.getName(X500Principal.CANONICAL);
        return Arrays.stream(canonical.split(",")).anyMatch(part -> part.strip().equals("o=" + OWN_ORGANIZATION));
    }

    /** The fingerprint is kept with the session, which lives as long as the connection. */
    private static String fingerprint(SSLSession session, Certificate certificate) {
        if (session.getValue(FINGERPRINT) instanceof String known) {
            return known;
        }
        try {
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(certificate.getEncoded());
            String fingerprint = HexFormat.of().formatHex(digest);
            session.putValue(FINGERPRINT, fingerprint);
            return fingerprint;
        } catch (NoSuchAlgorithmException | CertificateEncodingException e) {
            throw new SslAuthenticationException("its certificate cannot be read", e);
        }
    }

    /** A setting of the listener. Kafka hands keys that it does not know over as they stand in the file. */
    private String setting(AuthenticationContext context, String key, String otherwise) {
        String prefix = "listener.name." + context.listenerName().toLowerCase(Locale.ROOT) + ".";
        return configs.get(prefix + key) instanceof String value ? value : otherwise;
    }

    private static Set<String> principals(Object list) {
        if (!(list instanceof String text)) {
            return Set.of();
        }
        return Arrays.stream(text.split(";")).map(String::strip).filter(s -> !s.isEmpty()).collect(Collectors.toSet());
    }

    @Override
    public byte[] serialize(KafkaPrincipal principal) {
        return kafka.serialize(principal);
    }

    @Override
    public KafkaPrincipal deserialize(byte[] bytes) {
        return kafka.deserialize(bytes);
    }
}
