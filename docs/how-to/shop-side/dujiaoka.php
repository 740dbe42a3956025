<?php
/*
 * Reconciler's webhook for dujiaoka (独角数卡). Install: docs/how-to/shop-side/README.md.
 *
 * Copy to app/Providers/ReconcilerServiceProvider.php. The three other classes live in this file on purpose: it is
 * loaded as a whole, since the provider is loaded with each request.
 */

namespace App\Providers;

use App\Exceptions\RuleValidationException;
use App\Service\OrderProcessService;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Route;
use Illuminate\Support\ServiceProvider;

class ReconcilerServiceProvider extends ServiceProvider
{
    /** From here on the shop's own callbacks complete orders under the same row lock as the webhook. */
    public function register()
    {
        $this->app->singleton('Service\OrderProcessService', function () {
            return $this->app->make(LockedOrderProcessService::class);
        });
    }

    public function boot()
    {
        Route::post('/reconciler/payment-confirmed', ReconcilerWebhook::class . '@confirmed');
    }
}

/**
 * The shop's completion code, one at a time for each order.
 *
 * The shop itself reads the order without a lock and refuses only completed ones, so that two callbacks at once deliver
 * twice. Here the row is locked before it is read, and only what waits for its payment is completed. The lock on the
 * goods keeps two orders from being given the same cards, which the shop takes without a lock, too.
 */
class LockedOrderProcessService extends OrderProcessService
{
    const WAITING = 1;
    const EXPIRED = -1;

    public function completedOrder(string $orderSN, float $actualPrice, string $tradeNo = '')
    {
        return DB::transaction(function () use ($orderSN, $actualPrice, $tradeNo) {
            $order = self::locked($orderSN);
            if ($order !== null) {
                if (!self::waits($order)) {
                    throw new RuleValidationException(__('dujiaoka.prompt.order_already_paid'));
                }
                DB::selectOne('SELECT id FROM goods WHERE id = ? FOR UPDATE', [$order->goods_id]);
            }
            return parent::completedOrder($orderSN, $actualPrice, $tradeNo);
        });
    }

    /** Lock the order's row to the end of the transaction, and read it as it is now. */
    public static function locked(string $orderSN)
    {
        return DB::selectOne(
            'SELECT order_sn, goods_id, status, actual_price, trade_no FROM orders'
            . ' WHERE order_sn = ? AND deleted_at IS NULL FOR UPDATE',
            [$orderSN]
        );
    }

    /** Unpaid, or expired without ever having been paid: what staff closed after a payment is not delivered again. */
    public static function waits($order): bool
    {
        $status = (int) $order->status;
        return $status === self::WAITING || ($status === self::EXPIRED && (string) $order->trade_no === '');
    }
}

class ReconcilerWebhook
{
    const BODY_BYTES_MAX = 65536;

    public function confirmed(Request $request)
    {
        $body = $request->getContent();
        $id = (string) $request->header('webhook-id');
        $problem = ReconcilerSignature::problem(
            (string) config('reconciler.secret'),
            $id,
            (string) $request->header('webhook-timestamp'),
            (string) $request->header('webhook-signature'),
            $body,
            time()
        );
        if ($problem !== null) {
            return response()->json(['error' => $problem], 401);
        }
        $message = strlen($body) <= self::BODY_BYTES_MAX ? json_decode($body, true) : null;
        $data = is_array($message) && ($message['type'] ?? null) === 'payment.confirmed' ? ($message['data'] ?? null) : null;
        foreach (['order_no', 'transaction_id', 'amount', 'currency'] as $name) {
            if (!is_array($data) || !is_string($data[$name] ?? null) || $data[$name] === '') {
                return response()->json(['error' => "not a payment.confirmed message: $name is missing"], 400);
            }
        }
        try {
            [$status, $answer] = DB::transaction(function () use ($id, $data) {
                return $this->complete($id, $data);
            });
        } catch (\Throwable $exception) {
            // Everything is rolled back, the id too: a deadlock, a lost connection, or what the shop's own code says
            // against it (which hides the other two). Reconciler reads the order, and tries again.
            report($exception);
            [$status, $answer] = [503, ['error' => 'not now: ' . $exception->getMessage()]];
        }
        return response()->json($answer, $status);
    }

    /** Store the id and complete the order, in one transaction. What is thrown here leaves no trace, and is retried. */
    private function complete(string $id, array $data): array
    {
        $order = LockedOrderProcessService::locked($data['order_no']);
        if ($order === null) {
            return [404, ['error' => 'no such order']];
        }
        if ($data['currency'] !== 'CNY' || (string) $order->actual_price !== $data['amount']) {
            return [409, ['error' => "paid {$data['currency']} {$data['amount']}, due CNY {$order->actual_price}"]];
        }
        if (!LockedOrderProcessService::waits($order)) {
            return (string) $order->trade_no === $data['transaction_id']
                ? [200, ['result' => 'done before']]
                : [409, ['error' => "the order is in status {$order->status}, with transaction '{$order->trade_no}'"]];
        }
        $stored = DB::connection()->affectingStatement(
            'INSERT IGNORE INTO reconciler_webhook (id, order_no, transaction_id) VALUES (?, ?, ?)',
            [$id, $data['order_no'], $data['transaction_id']]
        );
        if ($stored === 0) {
            return [200, ['result' => 'done before']];
        }
        app('Service\OrderProcessService')->completedOrder(
            $data['order_no'],
            (float) $data['amount'],
            $data['transaction_id']
        );
        return [200, ['result' => 'completed']];
    }
}

/** Standard Webhooks: HMAC-SHA256 over id.timestamp.body, with a secret of base64 after whsec_. */
final class ReconcilerSignature
{
    const TOLERANCE_S = 300;
    const KEY_BYTES_MIN = 24;

    /** Say what is wrong with a signature; null for nothing. */
    public static function problem(
        string $secret,
        string $id,
        string $timestamp,
        string $signatures,
        string $body,
        int $now
    ) {
        $key = base64_decode(preg_replace('/^whsec_/', '', trim($secret)), true);
        if ($key === false || strlen($key) < self::KEY_BYTES_MIN) {
            return 'the shop has no usable secret: set it to the one that Reconciler has';
        }
        if (!preg_match('/^[A-Za-z0-9_-]{1,64}$/D', $id) || !preg_match('/^[0-9]{1,12}$/D', $timestamp)) {
            return 'webhook-id or webhook-timestamp is missing, or is none';
        }
        $off = (int) $timestamp - $now;
        if (abs($off) > self::TOLERANCE_S) {
            return "webhook-timestamp is $off s off the shop's clock: an old message, or a wrong clock";
        }
        $due = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
        foreach (array_slice(explode(' ', $signatures), 0, 8) as $signature) {
            if (hash_equals($due, $signature)) {
                return null;
            }
        }
        return 'webhook-signature is not of this body with this secret';
    }
}
