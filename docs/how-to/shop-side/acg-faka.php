<?php
declare(strict_types=1);
/*
 * Reconciler's webhook for acg-faka (异次元发卡). Install: docs/how-to/shop-side/README.md.
 *
 * Copy to app/Controller/User/Api/Reconciler.php: the shop's kernel then serves it at /user/api/reconciler/confirmed.
 */

namespace App\Controller\User\Api;

use App\Controller\Base\API\User as Controller;
use App\Model\Order;
use App\Model\User;
use Illuminate\Database\Capsule\Manager as DB;
use Kernel\Annotation\Inject;

class Reconciler extends Controller
{
    private const BODY_BYTES_MAX = 65536;
    private const TOLERANCE_S = 300;
    private const KEY_BYTES_MIN = 24;
    private const UNPAID = 0;

    #[Inject]
    private \App\Service\Order $order;

    public function confirmed(): string
    {
        $body = (string) file_get_contents('php://input', length: self::BODY_BYTES_MAX + 1);
        $id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
        $problem = $this->problem($id, $body);
        if ($problem !== null) {
            return $this->answer(401, ['error' => $problem]);
        }
        $message = json_decode($body, true);
        $data = is_array($message) && ($message['type'] ?? null) === 'payment.confirmed' ? ($message['data'] ?? null) : null;
        foreach (['order_no', 'transaction_id', 'amount', 'currency'] as $name) {
            if (!is_array($data) || !is_string($data[$name] ?? null) || $data[$name] === '') {
                return $this->answer(400, ['error' => "not a payment.confirmed message: $name is missing"]);
            }
        }
        try {
            // as the shop's callback does: cards are read under it, so that no two orders are given the same ones
            DB::connection()->getPdo()->exec('set session transaction isolation level serializable');
            [$status, $answer] = DB::transaction(fn (): array => $this->complete($id, $data));
        } catch (\Throwable $exception) {
            // Everything is rolled back, the id too: a deadlock with the shop's callback, a lost connection, or what the
            // shop's own code says against it. Reconciler reads the order, and tries again.
            error_log('reconciler webhook: ' . $exception->getMessage());
            [$status, $answer] = [503, ['error' => 'not now: ' . $exception->getMessage()]];
        }
        return $this->answer($status, $answer);
    }

    /** Store the id and complete the order, in one transaction. What is thrown here leaves no trace, and is retried. */
    private function complete(string $id, array $data): array
    {
        // the shop's callback reads this row in a serializable transaction, which is a lock: it waits for us, or we for it
        $order = Order::query()->where('trade_no', $data['order_no'])->lockForUpdate()->first();
        if (!$order) {
            return [404, ['error' => 'no such order']];
        }
        $due = number_format((float) $order->amount, 2, '.', '');
        if ($data['currency'] !== 'CNY' || $due !== $data['amount']) {
            return [409, ['error' => "paid {$data['currency']} {$data['amount']}, due CNY $due"]];
        }
        if ((int) $order->status !== self::UNPAID) {
            // the shop keeps no transaction number: by which payment, Reconciler has to tell
            return [200, ['result' => 'done before']];
        }
        $stored = DB::connection()->affectingStatement(
            'INSERT IGNORE INTO reconciler_webhook (id, order_no, transaction_id) VALUES (?, ?, ?)',
            [$id, $data['order_no'], $data['transaction_id']]
        );
        if ($stored === 0) {
            return [200, ['result' => 'done before']];
        }
        // what the shop's callback does after its own checks
        if ($order->owner != 0 && $owner = User::query()->find($order->owner)) {
            $owner->recharge = $owner->recharge + $order->amount;
            $owner->save();
        }
        $this->order->orderSuccess($order);
        return [200, ['result' => 'completed']];
    }

    /** Standard Webhooks: HMAC-SHA256 over id.timestamp.body. Say what is wrong with the signature; null for nothing. */
    private function problem(string $id, string $body): ?string
    {
        $settings = is_file(BASE_PATH . '/config/reconciler.php') ? require BASE_PATH . '/config/reconciler.php' : [];
        $key = base64_decode(preg_replace('/^whsec_/', '', trim((string) ($settings['secret'] ?? ''))), true);
        if ($key === false || strlen($key) < self::KEY_BYTES_MIN) {
            return 'the shop has no usable secret: set it to the one that Reconciler has';
        }
        $timestamp = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
        if (!preg_match('/^[A-Za-z0-9_-]{1,64}$/D', $id) || !preg_match('/^[0-9]{1,12}$/D', $timestamp)) {
            return 'webhook-id or webhook-timestamp is missing, or is none';
        }
        $off = (int) $timestamp - time();
        if (abs($off) > self::TOLERANCE_S) {
            return "webhook-timestamp is $off s off the shop's clock: an old message, or a wrong clock";
        }
        $due = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
        foreach (array_slice(explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? ''), 0, 8) as $signature) {
            if (hash_equals($due, $signature)) {
                return null;
            }
        }
        return 'webhook-signature is not of this body with this secret';
    }

    private function answer(int $status, array $answer): string
    {
        http_response_code($status);
        header('Content-Type: application/json');
        return json_encode($answer, JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE);
    }
}
