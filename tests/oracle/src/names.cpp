// Asks Bitcoin Core's VerifyScript for the name of the error, under any flags. Decides nothing itself.

#include <primitives/transaction.h>
#include <script/interpreter.h>
#include <script/script_error.h>
#include <streams.h>

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

// In the order of caesure's tests/scripts/mod.rs.
static constexpr script_verify_flag_name FLAGS[]{
    SCRIPT_VERIFY_P2SH,
    SCRIPT_VERIFY_DERSIG,
    SCRIPT_VERIFY_NULLDUMMY,
    SCRIPT_VERIFY_CHECKLOCKTIMEVERIFY,
    SCRIPT_VERIFY_CHECKSEQUENCEVERIFY,
    SCRIPT_VERIFY_WITNESS,
    SCRIPT_VERIFY_TAPROOT,
    SCRIPT_VERIFY_STRICTENC,
    SCRIPT_VERIFY_LOW_S,
    SCRIPT_VERIFY_SIGPUSHONLY,
    SCRIPT_VERIFY_MINIMALDATA,
    SCRIPT_VERIFY_DISCOURAGE_UPGRADABLE_NOPS,
    SCRIPT_VERIFY_CLEANSTACK,
    SCRIPT_VERIFY_DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM,
    SCRIPT_VERIFY_MINIMALIF,
    SCRIPT_VERIFY_NULLFAIL,
    SCRIPT_VERIFY_WITNESS_PUBKEYTYPE,
    SCRIPT_VERIFY_CONST_SCRIPTCODE,
    SCRIPT_VERIFY_DISCOURAGE_UPGRADABLE_TAPROOT_VERSION,
    SCRIPT_VERIFY_DISCOURAGE_OP_SUCCESS,
    SCRIPT_VERIFY_DISCOURAGE_UPGRADABLE_PUBKEYTYPE,
};
static_assert(std::size(FLAGS) == MAX_SCRIPT_VERIFY_FLAGS_BITS);

static const char* Name(ScriptError error)
{
    switch (error) {
#define NAME(name) case SCRIPT_ERR_##name: return #name
    NAME(OK);
    NAME(UNKNOWN_ERROR);
    NAME(EVAL_FALSE);
    NAME(OP_RETURN);
    NAME(SCRIPTNUM);
    NAME(SCRIPT_SIZE);
    NAME(PUSH_SIZE);
    NAME(OP_COUNT);
    NAME(STACK_SIZE);
    NAME(SIG_COUNT);
    NAME(PUBKEY_COUNT);
    NAME(VERIFY);
    NAME(EQUALVERIFY);
    NAME(CHECKMULTISIGVERIFY);
    NAME(CHECKSIGVERIFY);
    NAME(NUMEQUALVERIFY);
    NAME(BAD_OPCODE);
    NAME(DISABLED_OPCODE);
    NAME(INVALID_STACK_OPERATION);
    NAME(INVALID_ALTSTACK_OPERATION);
    NAME(UNBALANCED_CONDITIONAL);
    NAME(NEGATIVE_LOCKTIME);
    NAME(UNSATISFIED_LOCKTIME);
    NAME(SIG_HASHTYPE);
    NAME(SIG_DER);
    NAME(MINIMALDATA);
    NAME(SIG_PUSHONLY);
    NAME(SIG_HIGH_S);
    NAME(SIG_NULLDUMMY);
    NAME(PUBKEYTYPE);
    NAME(CLEANSTACK);
    NAME(MINIMALIF);
    NAME(SIG_NULLFAIL);
    NAME(DISCOURAGE_UPGRADABLE_NOPS);
    NAME(DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM);
    NAME(DISCOURAGE_UPGRADABLE_TAPROOT_VERSION);
    NAME(DISCOURAGE_OP_SUCCESS);
    NAME(DISCOURAGE_UPGRADABLE_PUBKEYTYPE);
    NAME(WITNESS_PROGRAM_WRONG_LENGTH);
    NAME(WITNESS_PROGRAM_WITNESS_EMPTY);
    NAME(WITNESS_PROGRAM_MISMATCH);
    NAME(WITNESS_MALLEATED);
    NAME(WITNESS_MALLEATED_P2SH);
    NAME(WITNESS_UNEXPECTED);
    NAME(WITNESS_PUBKEYTYPE);
    NAME(SCHNORR_SIG_SIZE);
    NAME(SCHNORR_SIG_HASHTYPE);
    NAME(SCHNORR_SIG);
    NAME(TAPROOT_WRONG_CONTROL_SIZE);
    NAME(TAPSCRIPT_VALIDATION_WEIGHT);
    NAME(TAPSCRIPT_CHECKMULTISIG);
    NAME(TAPSCRIPT_MINIMALIF);
    NAME(TAPSCRIPT_EMPTY_PUBKEY);
    NAME(OP_CODESEPARATOR);
    NAME(SIG_FINDANDDELETE);
#undef NAME
    case SCRIPT_ERR_ERROR_COUNT: break;
    }
    return "NO_SUCH_ERROR";
}

// The outputs are in their order, each as it is in a transaction. Gives "OK" or the error; nothing if something cannot
// be read.
extern "C" const char* caesure_core_verify(const unsigned char* transaction, size_t transaction_size, const unsigned char* outputs,
                                           size_t outputs_size, uint32_t index, uint32_t flags)
{
    try {
        SpanReader transaction_reader{std::as_bytes(std::span{transaction, transaction_size})};
        const CTransaction tx{deserialize, TX_WITH_WITNESS, transaction_reader};
        SpanReader outputs_reader{std::as_bytes(std::span{outputs, outputs_size})};
        std::vector<CTxOut> spent(tx.vin.size());
        for (CTxOut& output : spent) outputs_reader >> output;
        script_verify_flags in_force{SCRIPT_VERIFY_NONE};
        for (size_t bit{0}; bit < std::size(FLAGS); ++bit) {
            if (flags >> bit & 1) in_force |= FLAGS[bit];
        }
        const CTxOut coin{spent.at(index)};
        PrecomputedTransactionData data;
        data.Init(tx, std::move(spent));
        const TransactionSignatureChecker checker{&tx, index, coin.nValue, data, MissingDataBehavior::FAIL};
        const CTxIn& input{tx.vin.at(index)};
        ScriptError error;
        VerifyScript(input.scriptSig, coin.scriptPubKey, &input.scriptWitness, in_force, checker, &error);
        return Name(error);
    } catch (const std::exception&) {
        return nullptr;
    }
}
